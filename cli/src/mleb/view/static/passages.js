// Texts of any size: a window of pieces that are fetched by byte range as one scrolls; far ones are dropped again.
"use strict";
(() => {
  const PIECE = 64 * 1024;
  const MOST = 10;

  class Reader {
    constructor(place, file, { tail = false } = {}) {
      this.place = place;
      this.file = file;
      this.pieces = []; // {start, end, node}
      this.size = 0;
      this.busy = false;
      this.follow = mleb.el("input", { type: "checkbox" });
      this.slider = mleb.el("input", { type: "range", min: 0, max: 1000, value: tail ? 1000 : 0, "aria-label": `Place in ${file}` });
      this.search = mleb.el("input", { type: "text", placeholder: "find", "aria-label": `Find in ${file}`, autocomplete: "off" });
      this.told = mleb.el("output", { "aria-live": "off" });
      this.box = mleb.el("div", { class: "pieces", tabindex: 0, role: "group", "aria-label": file });
      const button = (words, call) => mleb.el("button", { type: "button", onclick: call }, words);
      const wrap = mleb.el("input", { type: "checkbox", checked: true });
      wrap.addEventListener("change", () => this.box.classList.toggle("unwrapped", !wrap.checked));
      this.bar = mleb.el(
        "div",
        { class: "bar" },
        mleb.el("b", {}, file),
        button("Start", () => this.open({ start: 0 }, "start")),
        button("End", () => this.open({}, "end")),
        this.slider,
        this.search,
        button("Next", () => this.find()),
        mleb.el("label", {}, wrap, " wrap"),
        mleb.el("label", {}, this.follow, " follow"),
        this.told,
      );
      place.replaceChildren(this.bar, this.box);
      this.box.addEventListener("scroll", () => void this.scrolled());
      this.slider.addEventListener("change", () => {
        const share = Number(this.slider.value) / 1000;
        void (share >= 1 ? this.open({}, "end") : this.open({ start: Math.floor(this.size * share), align: 1 }, "start"));
      });
      this.search.addEventListener("keydown", (event) => {
        if (event.key === "Enter") {
          event.preventDefault();
          void this.find();
        }
      });
      this.follow.checked = tail;
      this.ready = this.open(tail ? {} : { start: 0 }, tail ? "end" : "start");
    }

    async fetch(query) {
      const found = await mleb.ask("text.json", { file: this.file, length: PIECE, ...query });
      if (found.problem) {
        this.box.replaceChildren(mleb.el("p", { class: found.missing ? "nothing" : "problem" }, found.missing ? "There is none." : found.problem));
        this.pieces = [];
        this.bar.hidden = true;
        return null;
      }
      this.bar.hidden = false;
      this.size = found.size;
      return { ...found, node: mleb.el("pre", {}, found.text) };
    }

    async open(query, end) {
      if (this.busy) {
        return;
      }
      this.busy = true;
      const piece = await this.fetch(query);
      if (piece) {
        this.pieces = [piece];
        this.box.replaceChildren(piece.node);
        this.box.scrollTop = end === "end" ? this.box.scrollHeight : 0;
        this.tell();
      }
      this.busy = false;
      await this.scrolled(); // a piece of few lines does not fill the window
      if (end === "end") {
        this.box.scrollTop = this.box.scrollHeight;
      }
    }

    async scrolled() {
      if (this.busy || !this.pieces.length) {
        return;
      }
      this.busy = true;
      const box = this.box;
      const first = this.pieces[0];
      const last = this.pieces.at(-1);
      if (box.scrollTop < 600 && first.start > 0) {
        const piece = await this.fetch({ end: first.start });
        if (piece && piece.end > piece.start) {
          const before = box.scrollHeight;
          this.pieces.unshift(piece);
          box.prepend(piece.node);
          box.scrollTop += box.scrollHeight - before;
          while (this.pieces.length > MOST) {
            this.pieces.pop().node.remove();
          }
        }
      } else if (box.scrollHeight - box.scrollTop - box.clientHeight < 600 && last.end < this.size) {
        const piece = await this.fetch({ start: last.end });
        if (piece && piece.end > piece.start) {
          this.pieces.push(piece);
          box.append(piece.node);
          while (this.pieces.length > MOST) {
            const gone = this.pieces.shift();
            const height = gone.node.offsetHeight;
            gone.node.remove();
            box.scrollTop -= height;
          }
        }
      }
      this.tell();
      this.busy = false;
    }

    tell() {
      const first = this.pieces[0];
      const last = this.pieces.at(-1);
      if (first && document.activeElement !== this.slider) {
        const { scrollTop, scrollHeight, clientHeight } = this.box;
        const share = scrollHeight > clientHeight ? scrollTop / (scrollHeight - clientHeight) : 1;
        const at = first.start + share * (last.end - first.start);
        this.slider.value = this.size ? Math.round((1000 * at) / this.size) : 0;
      }
      this.told.textContent = `${mleb.size(this.size)}${first ? `, bytes ${mleb.number(first.start)} to ${mleb.number(last.end)}` : ""}`;
    }

    async find() {
      const words = this.search.value;
      if (!words) {
        return;
      }
      const start = this.found && this.found.words === words ? this.found.at + 1 : 0;
      const answer = await mleb.ask("text.json", { file: this.file, find: words, start });
      if (answer.found === null || answer.found === undefined) {
        this.told.textContent = answer.problem ?? (start ? "no further place" : "not found");
        this.found = null;
        return;
      }
      this.found = { words, at: answer.found };
      await this.open({ start: Math.max(0, answer.found - 2000), align: 1 }, "start");
      this.show(words, answer.found);
    }

    // Select the words found, and bring them into sight.
    show(words, byte) {
      const text = this.pieces.find((piece) => piece.start <= byte && byte < piece.end)?.node.firstChild;
      const at = text ? text.data.toLowerCase().indexOf(words.toLowerCase(), 0) : -1;
      if (at < 0) {
        return;
      }
      const place = document.createRange();
      place.setStart(text, at);
      place.setEnd(text, Math.min(text.length, at + words.length));
      const chosen = getSelection();
      chosen.removeAllRanges();
      chosen.addRange(place);
      const box = this.box.getBoundingClientRect();
      this.box.scrollTop += place.getBoundingClientRect().top - box.top - box.height / 3;
    }

    // The file has grown (or is another one): show the end if that is followed.
    async grown(size) {
      if (size === this.size || size < 0) {
        return;
      }
      const near = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 80;
      if (!this.pieces.length || size < this.size || (this.follow.checked && near)) {
        await this.open({}, "end");
      } else {
        this.size = size;
        this.tell();
      }
    }
  }

  // Without a server: the head and the tail that the page brings along.
  function fixed(place, file, kept) {
    if (!kept || kept.problem) {
      place.replaceChildren(mleb.el("p", { class: "nothing" }, kept?.problem ?? "There is none."));
      return;
    }
    const size = mleb.el("output", {}, mleb.size(kept.size));
    const box = mleb.el("div", { class: "pieces", tabindex: 0, role: "group", "aria-label": file });
    box.append(mleb.el("pre", {}, kept.head));
    if (kept.left_out > 0) {
      box.append(mleb.el("p", { class: "problem" }, `${mleb.number(kept.left_out)} bytes are left out here; this is an export, agent.log and mleb view have all.`));
    }
    if (kept.tail) {
      box.append(mleb.el("pre", {}, kept.tail));
    }
    place.replaceChildren(mleb.el("div", { class: "bar" }, mleb.el("b", {}, file), size), box);
    box.scrollTop = place.dataset.tail === undefined ? 0 : box.scrollHeight;
  }

  document.addEventListener("DOMContentLoaded", () => {
    const kept = mleb.served ? null : mleb.kept();
    const log = document.getElementById("log");
    const panel = document.getElementById("file");
    let reader = null;
    if (mleb.served) {
      reader = new Reader(log, log.dataset.file, { tail: true });
      mleb.onchange((live) => void reader.grown(live.sizes?.[log.dataset.file] ?? -1));
    } else {
      fixed(log, log.dataset.file, kept.log);
    }
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button.file");
      if (!button) {
        return;
      }
      panel.hidden = false;
      const path = decodeURIComponent(button.dataset.path);
      if (mleb.served) {
        void new Reader(panel, path);
      } else {
        fixed(panel, path, kept.files?.[button.dataset.path] ?? { problem: "This file is not part of the export." });
      }
      panel.scrollIntoView({ block: "nearest" });
    });
  });
})();
