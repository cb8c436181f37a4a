// What every page can do: copy, filter without a button.
import { copy } from "./dom.js";

// On narrow screens the ways scroll: the one we are on is to be seen.
const ways = document.querySelector(".ways");
const here = ways?.querySelector("[aria-current]");
if (here) ways.scrollLeft = here.offsetLeft - (ways.clientWidth - here.offsetWidth) / 2;

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.copy) copy(button, document.querySelector(button.dataset.copy).textContent);
  if ("copyPanel" in button.dataset) {
    const panels = [...button.closest(".tabs").querySelectorAll(".panel")];
    copy(button, panels.find((panel) => panel.checkVisibility()).textContent.trim() + "\n");
  }
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-at-once]");
  if (form) form.requestSubmit();
});
