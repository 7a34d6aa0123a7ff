// The ledger as a table, a page at a time.
"use strict";
(() => {
  document.addEventListener("DOMContentLoaded", () => {
    const place = document.getElementById("ledger");
    let kind = "";

    function show(found) {
      if (found.problem) {
        place.replaceChildren(mleb.el("p", { class: found.missing ? "nothing" : "problem" }, found.missing ? "This run has no ledger." : found.problem));
        return;
      }
      const last = found.first + found.entries.length;
      const bar = mleb.el("div", { class: "bar" }, mleb.el("b", {}, `entries ${found.entries.length ? found.first + 1 : 0} to ${last} of ${mleb.number(found.total)}`));
      if (mleb.served) {
        const kinds = mleb.el("select", { "aria-label": "Kind of entry" }, mleb.el("option", { value: "" }, "all kinds"));
        for (const [name, count] of Object.entries(found.kinds)) {
          kinds.append(mleb.el("option", { value: name, selected: name === kind }, `${name} (${mleb.number(count)})`));
        }
        kinds.addEventListener("change", () => {
          kind = kinds.value;
          void load(0);
        });
        const button = (words, to, on) => mleb.el("button", { type: "button", onclick: () => void load(to), disabled: !on }, words);
        bar.append(kinds, button("Earlier", Math.max(0, found.first - 200), found.first > 0), button("Later", last, last < found.total));
      }
      const chain = found.problems.length
        ? mleb.el("p", { class: "problem" }, `✗ The chain does not hold: ${found.problems.join("; ")}`)
        : mleb.el("p", { class: "good" }, "✓ The chain holds; its head is ", mleb.el("code", {}, found.head));
      const body = mleb.el("tbody");
      for (const entry of found.entries) {
        body.append(
          mleb.el(
            "tr",
            {},
            mleb.el("td", { class: "n" }, String(entry.seq)),
            mleb.el("td", { class: "time" }, entry.time.slice(0, 19).replace("T", " ")),
            mleb.el("td", {}, entry.kind),
            mleb.el("td", { class: "words" }, JSON.stringify(entry.details)),
          ),
        );
      }
      const head = mleb.el("thead", {}, mleb.el("tr", {}, ...["no.", "time, UTC", "kind", "what"].map((words) => mleb.el("th", { scope: "col" }, words))));
      const table = mleb.el("table", { class: "cells ledger" }, head, body);
      place.replaceChildren(chain, bar, mleb.el("div", { class: "scroll tall", tabindex: 0, role: "group", "aria-label": "Ledger" }, table));
      if (found.left_out) {
        place.append(mleb.el("p", { class: "problem" }, `${mleb.number(found.left_out)} further entries are left out; this is an export, ledger.jsonl has all.`));
      }
    }
    async function load(first) {
      show(await mleb.ask("ledger.json", { first, kind }));
    }
    if (!mleb.served) {
      show(mleb.kept().ledger ?? { problem: "none", missing: true });
      return;
    }
    void load(0);
    let size = null;
    mleb.onchange((live) => {
      const now = live.sizes?.["ledger.jsonl"];
      if (size !== null && now !== size && !place.contains(document.activeElement)) {
        void load(0);
      }
      size = now;
    });
  });
})();
