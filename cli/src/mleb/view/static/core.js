// What all pages share: elements, asking the server, staying live, keys, the theme.
"use strict";

const mleb = {
  served: document.body.dataset.served === "1",

  // An element; texts become text nodes, never markup.
  el(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "onclick") {
        element.addEventListener("click", value);
      } else if (value !== null && value !== false) {
        element.setAttribute(key, value === true ? "" : value);
      }
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  },

  number(value) {
    return Number(value).toLocaleString("en");
  },

  size(bytes) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (bytes >= 1024 && unit < units.length - 1) {
      bytes /= 1024;
      unit += 1;
    }
    return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
  },

  // JSON from beside the page; {problem} where there is none.
  async ask(name, query = {}) {
    try {
      const answer = await fetch(`${name}?${new URLSearchParams(query)}`);
      return await answer.json();
    } catch {
      return { problem: "mleb view does not answer; was it ended?" };
    }
  },

  // What a page without a server brings along.
  kept() {
    const found = document.getElementById("kept");
    return found ? JSON.parse(found.textContent) : {};
  },

  // Draw anew what `make` draws, whenever the page changes or the theme does.
  listeners: [],
  onchange(call) {
    mleb.listeners.push(call);
  },
  changed(live) {
    for (const call of mleb.listeners) {
      call(live);
    }
  },
};

(() => {
  // --- staying live: ask what changed, then fetch the parts of the page that show it
  const source = document.querySelector("[data-live]")?.dataset.live ?? (mleb.served && document.getElementById("list") ? "live.json" : null);
  const badge = document.getElementById("live");
  const every = { live: 1500, calm: 5000, hidden: 15000, gone: 4000 };

  async function refreshPart(element) {
    const answer = await fetch(element.dataset.part);
    if (!answer.ok) {
      return;
    }
    const text = await answer.text();
    if (text.includes(" data-stale>")) {
      setTimeout(() => void refreshPart(element).catch(() => {}), 2000);
    }
    if (element.mlebText === text || element.contains(document.activeElement)) {
      return;
    }
    element.mlebText = text;
    const opened = [...element.querySelectorAll("details")].map((details) => details.open);
    const parsed = new DOMParser().parseFromString(text, "text/html");
    element.replaceChildren(...parsed.body.childNodes);
    const now = [...element.querySelectorAll("details")];
    if (opened.length === now.length) {
      now.forEach((details, i) => {
        details.open = opened[i];
      });
    }
    delete element.dataset.later;
    element.dispatchEvent(new CustomEvent("mleb-part", { bubbles: true }));
  }

  async function refreshParts(which) {
    await Promise.all([...document.querySelectorAll(which)].map(refreshPart));
  }

  let etag = null;
  async function look() {
    let wait = every.calm;
    try {
      const answer = await fetch(source, { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store" });
      if (answer.status === 200) {
        const first = etag === null;
        etag = answer.headers.get("ETag");
        const live = await answer.json();
        look.live = live.state === "live" || Object.values(live.groups ?? {}).some((group) => group[1]);
        mleb.changed(live);
        if (!first || look.late) {
          await refreshParts("[data-part]");
        }
      } else if (answer.status === 404) {
        throw new Error("gone");
      }
      look.late = false;
      wait = look.live ? every.live : every.calm;
      badge.textContent = look.live ? "● live" : "";
      badge.className = "live";
    } catch {
      badge.textContent = "○ no answer";
      badge.className = "live gone";
      look.late = true;
      wait = every.gone;
    }
    clearTimeout(look.timer);
    look.timer = setTimeout(look, document.hidden ? every.hidden : wait);
  }
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && look.timer) {
      clearTimeout(look.timer);
      look.timer = setTimeout(look, 100);
    }
  });
  document.addEventListener("DOMContentLoaded", () => {
    if (mleb.served && source) {
      void refreshParts("[data-later]").catch(() => {});
      void look();
    }
  });

  // --- the theme
  function isDark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  function turn() {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("mleb-theme", theme);
    } catch {
      // kept for this page only
    }
    document.dispatchEvent(new CustomEvent("mleb-theme"));
  }
  document.getElementById("theme").addEventListener("click", turn);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new CustomEvent("mleb-theme")));

  // --- keys
  const keys = document.getElementById("keys");
  document.getElementById("help").addEventListener("click", () => keys.showModal());

  function rows() {
    return [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
  }
  function step(by) {
    const all = rows();
    if (!all.length) {
      return;
    }
    const now = all.findIndex((row) => row.contains(document.activeElement));
    const next = all[Math.min(all.length - 1, Math.max(0, now < 0 ? (by > 0 ? 0 : all.length - 1) : now + by))];
    const target = next.querySelector("a, button") ?? next;
    target.focus();
    next.scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("keydown", (event) => {
    const field = event.target.closest?.("input, select, textarea");
    if (event.key === "Escape" && field) {
      field.blur();
      return;
    }
    if (field || event.ctrlKey || event.metaKey || event.altKey || keys.open) {
      return;
    }
    const search = document.querySelector("input[type=search]");
    if (event.key === "j" || event.key === "k") {
      step(event.key === "j" ? 1 : -1);
    } else if (event.key === "/" && search) {
      search.focus();
      search.select();
    } else if (event.key === "?") {
      keys.showModal();
    } else if (event.key === "t") {
      turn();
    } else if (event.key === "u") {
      const up = document.querySelector("[data-up]") ?? document.querySelector(".brand");
      location.href = up.href;
    } else {
      return;
    }
    event.preventDefault();
  });
})();
