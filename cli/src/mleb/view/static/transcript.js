// The transcript as a conversation, some exchanges at a time.
"use strict";
(() => {
  const COUNT = 20;
  const SHORT = 1500;
  const names = { text: "", reasoning: "thinks", call: "calls", result: "result", other: "" };

  function part(one) {
    const head = [one.role, names[one.kind], one.name].filter(Boolean).join(" ");
    const all = one.text + (one.cut ? `\n… ${mleb.number(one.cut)} more characters are in transcript.jsonl` : "");
    const long = all.length > SHORT;
    const body = mleb.el("pre", {}, long ? `${all.slice(0, SHORT)} …` : all);
    const said = mleb.el("div", { class: `said ${one.kind} ${["user", "assistant", "system", "tool"].includes(one.role) ? one.role : "other"}` }, mleb.el("b", {}, head), body);
    if (long) {
      const more = mleb.el("button", { type: "button", class: "more", "aria-expanded": "false" }, `show all ${mleb.number(all.length)} characters`);
      more.addEventListener("click", () => {
        const open = more.getAttribute("aria-expanded") === "false";
        more.setAttribute("aria-expanded", String(open));
        body.textContent = open ? all : `${all.slice(0, SHORT)} …`;
        more.textContent = open ? "show less" : `show all ${mleb.number(all.length)} characters`;
      });
      said.append(more);
    }
    return said;
  }

  function exchange(item) {
    const box = mleb.el("article", { class: "exchange", "data-row": true, tabindex: -1 });
    const tokens = item.tokens ? `${mleb.number(item.tokens.input ?? 0)} in, ${mleb.number(item.tokens.output ?? 0)} out${item.estimated ? " (estimated)" : ""}` : null;
    const cost = item.cost_usd === null ? "price unknown" : item.cost_usd === undefined ? null : `$${Number(item.cost_usd).toFixed(4)}`;
    const facts = [item.model, (item.time ?? "").slice(0, 19).replace("T", " "), tokens, cost, item.seconds ? `${Number(item.seconds).toFixed(1)}s` : null, item.retries ? `asked ${item.retries} more times` : null];
    box.append(mleb.el("h3", {}, `#${item.number ?? item.line}`, mleb.el("small", {}, ` ${facts.filter(Boolean).join(" · ")}`)));
    if (item.problem) {
      box.append(mleb.el("p", { class: "problem" }, item.problem));
    }
    if (item.error) {
      box.append(mleb.el("p", { class: "problem" }, typeof item.error === "string" ? item.error : JSON.stringify(item.error)));
    }
    if (item.known) {
      box.append(mleb.el("p", { class: "nothing" }, `${item.known} earlier parts said again`));
    }
    for (const one of [...(item.parts ?? []), ...(item.reply ?? [])]) {
      box.append(part(one));
    }
    return box;
  }

  document.addEventListener("DOMContentLoaded", () => {
    const place = document.getElementById("talk");
    let first = 0;
    let total = 0;

    function show(found) {
      if (found.problem) {
        place.replaceChildren(mleb.el("p", { class: found.missing ? "nothing" : "problem" }, found.missing ? "No model was asked through the gateway." : found.problem));
        return;
      }
      ({ first, total } = found);
      const last = first + found.items.length;
      const button = (words, to, on) => mleb.el("button", { type: "button", onclick: () => void load(to), disabled: !on }, words);
      const bar = mleb.el("div", { class: "bar" }, mleb.el("b", {}, total ? `exchanges ${first + 1} to ${last} of ${mleb.number(total)}` : "no exchange yet"));
      if (mleb.served) {
        const to = mleb.el("input", { type: "number", min: 1, max: total, "aria-label": "Go to exchange", placeholder: "go to" });
        to.addEventListener("change", () => void load(Math.min(total - 1, Math.max(0, Number(to.value) - 1))));
        bar.append(
          button("First", 0, first > 0),
          button("Earlier", Math.max(0, first - COUNT), first > 0),
          button("Later", first + COUNT, last < total),
          button("Last", Math.max(0, total - COUNT), last < total),
          to,
        );
      } else if (found.left_out) {
        bar.append(mleb.el("span", { class: "problem" }, ` ${mleb.number(found.left_out)} exchanges in the middle are left out; this is an export, transcript.jsonl has all.`));
      }
      place.replaceChildren(bar, mleb.el("div", { class: "talk", tabindex: 0, role: "group", "aria-label": "Transcript" }, ...found.items.map(exchange)));
    }
    async function load(from) {
      show(await mleb.ask("transcript.json", { first: from, count: COUNT }));
    }
    if (!mleb.served) {
      show(mleb.kept().transcript ?? { problem: "none", missing: true });
      return;
    }
    void load(0);
    let size = null;
    mleb.onchange((live) => {
      const now = live.sizes?.["transcript.jsonl"];
      const grows = size !== null && now !== size;
      size = now;
      if (grows && !place.contains(document.activeElement) && (first + COUNT >= total)) {
        void load(first); // the page that is shown is the last one
      }
    });
  });
})();
