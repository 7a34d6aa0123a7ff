// Searching in tables, and sorting them by a column.
"use strict";
(() => {
  function plain(form) {
    const table = document.getElementById(form.dataset.for);
    const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = [...(table?.querySelectorAll("tbody tr") ?? [])];
    let shown = 0;
    for (const row of all) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    form.querySelector("output").textContent = words.length ? `${shown} of ${all.length}` : "";
  }
  function filterAll() {
    for (const form of document.querySelectorAll(".filter[data-for]:not([data-for=matrix])")) {
      plain(form);
    }
  }
  document.addEventListener("input", filterAll);
  document.addEventListener("mleb-part", () => {
    filterAll();
    document.querySelectorAll("table.sortable").forEach(makeSortable);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches(".filter[data-for]")) {
      event.preventDefault();
    }
  });

  const orders = new Map(); // by table, so that a part that is fetched anew keeps its order
  function value(row, column) {
    const text = row.cells[column]?.textContent.trim() ?? "";
    const number = Number.parseFloat(text.replaceAll(",", ""));
    return /^[-+$\d]/.test(text) && !Number.isNaN(number) && !/^\d{4}-/.test(text) ? number : text.toLowerCase();
  }
  function sort(table) {
    const order = orders.get(table.id);
    if (!order) {
      return;
    }
    const body = table.tBodies[0];
    const sorted = [...body.rows].map((row, i) => [value(row, order.column), i, row]);
    sorted.sort(([a, i], [b, j]) => {
      const compared = typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : i - j) : typeof a === "number" ? -1 : 1;
      return order.up ? compared : -compared;
    });
    body.append(...sorted.map(([, , row]) => row));
    [...table.tHead.rows].at(-1).querySelectorAll("th").forEach((th, i) => {
      th.setAttribute("aria-sort", i === order.column ? (order.up ? "ascending" : "descending") : "none");
    });
  }
  function makeSortable(table) {
    if (!table.tHead || table.dataset.sorts) {
      return;
    }
    table.dataset.sorts = "1";
    table.id ||= `sorted-${[...document.querySelectorAll("table.sortable")].indexOf(table)}`;
    [...table.tHead.rows].at(-1).querySelectorAll("th").forEach((th, column) => {
      const words = th.textContent;
      const button = mleb.el("button", { type: "button", class: "sort" }, words);
      button.addEventListener("click", () => {
        const order = orders.get(table.id);
        orders.set(table.id, { column, up: order?.column === column ? !order.up : true });
        sort(table);
      });
      th.replaceChildren(button);
    });
    sort(table);
  }
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("table.sortable").forEach(makeSortable));
})();
