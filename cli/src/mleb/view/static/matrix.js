// The matrix of a group: kept up to date in place, filtered, walked by arrow keys.
"use strict";
(() => {
  const words = {
    g: ["gold", "G"], s: ["silver", "S"], b: ["bronze", "B"], a: ["above median", "+"], v: ["valid, no medal", "·"],
    x: ["invalid submission", "×"], n: ["no submission", "∅"], e: ["not graded: the grader failed", "E"], f: ["failed", "!"],
    t: ["timed out", "T"], c: ["cancelled", "C"], i: ["interrupted", "I"], d: ["cannot be read", "?"], r: ["under way", "▸"],
    p: ["not started", ""],
  };
  const endings = { t: "timed out", x: "failed", c: "cancelled", i: "interrupted" };
  const states = { live: "● at work", complete: "✓ complete", stopped: "◼ stopped", imported: "⇩ imported" };

  function start() {
    const table = document.getElementById("matrix");
    const form = document.querySelector(".filter[data-for=matrix]");
    const rows = [...table.tBodies[0].rows];
    const columns = Number(table.dataset.columns);
    const cells = rows.flatMap((row) => [...row.querySelectorAll("a.m")]);
    const agents = [...table.tHead.rows[1].querySelectorAll("[data-agent]")].map((th) => th.dataset.agent);
    const marks = cells.map((cell) => cell.className.slice(2, 3));

    function update(live) {
      for (const [name, value] of Object.entries(live.counts)) {
        const place = document.getElementById(`count-${name}`);
        if (place) {
          place.textContent = mleb.number(value);
        }
      }
      const state = document.querySelector("#state .state");
      state.textContent = states[live.state];
      state.className = `state ${live.state}`;
      if (live.marks.length !== cells.length) {
        location.reload(); // group.json itself is another one
        return;
      }
      cells.forEach((cell, i) => {
        const mark = live.marks[i];
        const score = live.scores[i];
        const ending = "gsbavxne".includes(mark) ? endings[live.statuses[i]] : undefined;
        const title = words[mark][0] + (score === null ? "" : `, ${Number(score.toPrecision(6))}`) + (ending ? `; ${ending}` : "");
        if (marks[i] !== mark || cell.title !== title) {
          if (marks[i] !== mark) {
            cell.className = `m ${mark} new`;
          }
          marks[i] = mark;
          cell.textContent = words[mark][1];
          cell.title = title;
        }
      });
      rows.forEach((row, i) => {
        row.lastElementChild.textContent = marks.slice(i * columns, (i + 1) * columns).filter((mark) => "gsb".includes(mark)).length;
      });
      filter();
    }

    function filter() {
      const asked = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
      const agent = form.elements.agent.value;
      const wanted = form.elements.mark.value;
      let shown = 0;
      rows.forEach((row, i) => {
        const name = row.cells[0].textContent.toLowerCase();
        const own = marks.slice(i * columns, (i + 1) * columns).filter((_, c) => !agent || agents[c] === agent);
        row.hidden = !asked.every((word) => name.includes(word)) || (wanted !== "" && !own.some((mark) => wanted.includes(mark)));
        shown += !row.hidden;
      });
      if (filter.agent !== agent) {
        filter.agent = agent;
        for (const th of table.tHead.querySelectorAll("[data-agent]")) {
          th.hidden = agent !== "" && th.dataset.agent !== agent;
        }
        cells.forEach((cell, i) => {
          cell.parentElement.hidden = agent !== "" && agents[i % columns] !== agent;
        });
      }
      form.querySelector("output").textContent = asked.length || agent || wanted ? `${shown} of ${rows.length} competitions` : "";
    }
    filter.agent = "";
    form.addEventListener("input", filter);

    // One cell is in the order of the Tab key; the arrows move from there.
    let current = 0;
    cells.forEach((cell, i) => {
      cell.tabIndex = i === 0 ? 0 : -1;
    });
    function go(to) {
      cells[current].tabIndex = -1;
      current = to;
      cells[current].tabIndex = 0;
      cells[current].focus();
    }
    table.addEventListener("focusin", (event) => {
      const found = cells.indexOf(event.target);
      if (found >= 0 && found !== current) {
        cells[current].tabIndex = -1;
        current = found;
        cells[current].tabIndex = 0;
      }
    });
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    document.addEventListener("keydown", (event) => {
      const by = steps[event.key];
      const inside = table.contains(document.activeElement);
      if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) {
        return;
      }
      if (!inside && document.activeElement !== document.body) {
        return;
      }
      event.preventDefault();
      if (!cells.includes(document.activeElement)) {
        go(current);
        return;
      }
      let to = current + by;
      while (cells[to] && (cells[to].offsetParent === null || (Math.abs(by) === 1 && Math.floor(to / columns) !== Math.floor(current / columns)))) {
        if (Math.abs(by) === 1 && Math.floor(to / columns) !== Math.floor(current / columns)) {
          return;
        }
        to += by;
      }
      if (cells[to]) {
        go(to);
      }
    });
    mleb.onchange(update);
  }
  document.addEventListener("DOMContentLoaded", start);
})();
