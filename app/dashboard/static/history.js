// Hear earlier audio again, and follow a job that has not ended.
import { $, ask } from "./dom.js";
import { Player } from "./player.js";

const element = $("#player");
const player = element && new Player(element);

if (element?.dataset.peaks) {
  ask(element.dataset.peaks).then(({ peaks }) => { player.peaks = peaks; player.draw(); }, () => {});
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-play]");
  if (!link) return;
  event.preventDefault();
  $("#replay").hidden = false;
  player.audio.currentTime = 0;
  player.load(link.href, link.dataset.play, { play: true });
});

const unfinished = $("[data-unfinished]");
if (unfinished) {
  const look = setInterval(async () => {
    const { status } = await ask(unfinished.dataset.unfinished).catch(() => ({ status: "failed" }));
    if (status !== "completed" && status !== "failed") return;
    clearInterval(look);
    location.reload();
  }, 1000);
}
