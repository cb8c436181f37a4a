// Plays audio, and draws its waveform from peaks the server has measured.
import { $, ask } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 72;

export class Player {
  constructor(element) {
    this.audio = $("audio", element);
    this.wave = $(".wave", element);
    this.peaks = [];
    this.audio.addEventListener("timeupdate", () => this.draw());
    this.audio.addEventListener("seeked", () => this.draw());
    this.wave.addEventListener("pointerdown", (event) => this.seek(event));
  }

  /** Play at once what is only being made. */
  stream(address) {
    this.peaks = [];
    this.draw();
    this.audio.src = address;
    this.play();
  }

  /** The whole audio: goes on where it was, and can be wound back and forth from now on. */
  async load(address, peaksAddress, { play = false } = {}) {
    const { currentTime, ended } = this.audio;
    const wasPlaying = !this.audio.paused || (play && !ended);
    this.audio.preload = "auto";
    this.audio.src = address;
    if (currentTime) this.audio.addEventListener("loadedmetadata", () => { this.audio.currentTime = currentTime; }, { once: true });
    if (wasPlaying) this.play();
    try {
      ({ peaks: this.peaks } = await ask(peaksAddress));
    } catch {
      this.peaks = []; // it can be heard all the same
    }
    this.draw();
  }

  play() {
    // Without a click before it a browser may refuse; the controls are there.
    this.audio.play().catch(() => {});
  }

  stop() {
    this.audio.removeAttribute("src");
    this.audio.load();
    this.peaks = [];
    this.draw();
  }

  seek(event) {
    if (!Number.isFinite(this.audio.duration)) return;
    const { left, width } = this.wave.getBoundingClientRect();
    this.audio.currentTime = ((event.clientX - left) / width) * this.audio.duration;
  }

  draw() {
    const { currentTime, duration } = this.audio;
    const played = Number.isFinite(duration) && duration ? currentTime / duration : 0;
    const split = Math.round(played * this.peaks.length);
    $(".played", this.wave).setAttribute("d", bars(this.peaks, 0, split));
    $(".still", this.wave).setAttribute("d", bars(this.peaks, split, this.peaks.length));
  }
}

function bars(peaks, from, to) {
  const step = WIDTH / peaks.length;
  let path = "";
  for (let n = from; n < to; n++) {
    const height = Math.max(2, (peaks[n] / 100) * (HEIGHT - 8));
    const x = (n * step).toFixed(1);
    path += `M${x} ${((HEIGHT - height) / 2).toFixed(1)}h${(step * 0.65).toFixed(1)}v${height.toFixed(1)}h-${(step * 0.65).toFixed(1)}z`;
  }
  return path;
}
