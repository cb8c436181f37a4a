// Listen to a voice's sample without leaving the page; a second press stops it.
import { $ } from "./dom.js";

const audio = $("#sample");
let pressed = null;

function show(text, link = pressed) {
  if (link) link.firstChild.textContent = text;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-sample]");
  if (!link) return;
  event.preventDefault();
  const isSecond = link === pressed && !audio.paused;
  audio.pause();
  show("Listen");
  pressed = link;
  if (isSecond) return;
  audio.src = link.href;
  show("Loading");
  audio.play().then(
    () => { show("Stop", link); $("#heard").textContent = `Playing ${link.dataset.sample}`; },
    (error) => {
      if (error.name === "AbortError") return;
      show("Listen", link);
      $("#heard").textContent = `There is no sample of ${link.dataset.sample} yet.`;
      $("#heard").classList.remove("unseen");
    });
});

audio.addEventListener("ended", () => show("Listen"));
