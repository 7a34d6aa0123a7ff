// Dark or light, before anything is drawn: as chosen here, else as the system has it.
"use strict";
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("mleb-theme");
  } catch {
    // no storage, as in some browsers for files
  }
  if (chosen === "dark" || chosen === "light") {
    document.documentElement.dataset.theme = chosen;
  }
})();
