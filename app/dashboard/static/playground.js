// The playground: narrow the voices, show the request as code, speak, and listen while it is made.
import { $, Refused, ask, newKey, renewCredits, tell } from "./dom.js";
import { Player } from "./player.js";

const POLL_MS = 250;
const form = $("#speak");
const engines = JSON.parse(form.dataset.engines);
const [voice, text, format, speed] = ["#voice", "#text", "#format", "#speed"].map((name) => $(name));
const player = new Player($("#player"));
const everyVoice = [...voice.querySelectorAll("option")].map((option) => ({ option, language: option.parentElement.label }));
let running = null; // the job under way: its id, and how to stop asking after it
let attempt = null; // the request last sent and its key, so that sending it again costs nothing more

// ---- The form

function narrow() {
  const [language, gender, quality] = ["#by-language", "#by-gender", "#by-quality"].map((name) => $(name).value);
  const kept = everyVoice.filter(({ option, language: own }) =>
    (!language || own === language) && (!gender || option.dataset.gender === gender) && (!quality || option.dataset.quality === quality));
  const chosen = voice.value;
  const groups = new Map();
  for (const { option, language: own } of kept) {
    if (!groups.has(own)) groups.set(own, Object.assign(document.createElement("optgroup"), { label: own }));
    groups.get(own).append(option);
  }
  voice.replaceChildren(...groups.values());
  voice.value = kept.some(({ option }) => option.value === chosen) ? chosen : (kept[0]?.option.value ?? "");
  follow();
}

function engine() {
  return engines[voice.selectedOptions[0]?.dataset.engine] ?? { formats: ["wav"], characters_max: 0, speed_min: 1, speed_max: 1 };
}

function fit() {
  const { formats, speed_min, speed_max, price } = engine();
  if ([...format.options].map((option) => option.value).join() !== formats.join()) {
    const wanted = format.value;
    format.replaceChildren(...formats.map((name) => new Option(name)));
    format.value = formats.includes(wanted) ? wanted : formats[0];
  }
  [speed.min, speed.max] = [speed_min, speed_max];
  speed.disabled = speed_min === speed_max;
  if (price) $("#price").textContent = price;
}

function body() {
  const [language, ...id] = voice.value.split(" ");
  const wanted = { text: text.value, voice: id.join(" "), language, format: format.value };
  return Number(speed.value) === 1 ? wanted : { ...wanted, speed: Number(speed.value) };
}

function count() {
  const most = engine().characters_max;
  const length = [...text.value].length;
  const left = most - length;
  $("#count").textContent = left < 0
    ? `${length.toLocaleString("en")} characters: ${(-left).toLocaleString("en")} too many for this voice`
    : `${length.toLocaleString("en")} of ${most.toLocaleString("en")} characters`;
  text.setCustomValidity(left < 0 ? "The text is too long for this voice." : "");
}

function follow() {
  fit();
  count();
  $("#speed-shown").textContent = `${speed.value}×`;
  const sent = inPython(JSON.stringify(body()));
  const filled = { __BODY__: sent, __QUOTED__: `'${sent.replaceAll("'", "'\\''")}'`, __FORMAT__: format.value };
  for (const code of document.querySelectorAll("[data-template]")) {
    code.textContent = code.dataset.template.split(/(__BODY__|__QUOTED__|__FORMAT__)/).map((part) => filled[part] ?? part).join("");
  }
}

// Spaced as Python writes JSON, so that the code does not change before anything in the form has.
function inPython(json) {
  return json.replace(/("(?:[^"\\]|\\.)*")|([:,])/g, (_, string, mark) => string ?? `${mark} `);
}

// ---- Speaking

async function speak() {
  const asked = JSON.stringify(body());
  if (attempt?.asked !== asked) attempt = { asked, key: newKey() };
  begin();
  try {
    const ticket = await ask("/v1/tts", { method: "POST", json: JSON.parse(asked), headers: { "Idempotency-Key": attempt.key } });
    running = { job: ticket.job_id };
    $("#cancel").hidden = false;
    player.stream(`/tts/stream/${ticket.job_id}`);
    await follow_job(ticket);
    attempt = null;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status) attempt = null; // it was answered: asking again is another request
    refuse(error);
  } finally {
    end();
  }
}

// All that is to appear gets its place now, so that nothing moves later, under a person's finger or eye.
function begin() {
  tell($("#told"), "");
  player.stop();
  $("#again").hidden = $("#take").hidden = true;
  $("#outcome").hidden = $("#result").hidden = false;
  $("#go").ariaDisabled = "true"; // truly disabled it would lose the focus
  $("#working").hidden = false;
  $("#state").textContent = "Sending";
}

function end() {
  running = null;
  $("#go").ariaDisabled = null;
  $("#working").hidden = true;
  $("#cancel").hidden = true;
}

async function follow_job(ticket) {
  const began = performance.now();
  for (;;) {
    const status = await ask(`/tts/status/${ticket.job_id}`);
    if (status.status === "failed") throw new Refused(status.error, 200, status.reason);
    if (status.status === "completed") return done(ticket, status, performance.now() - began);
    const ahead = status.position ? `, ${status.position} ahead` : "";
    $("#state").textContent = status.status === "queued" ? `Waiting${ahead}` : "Being made";
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}

function done(ticket, status, tookMs) {
  const [path] = status.audio_url.split("?");
  $("#take").hidden = false;
  $("#download").href = status.audio_url;
  $("#download").download = `codevoice.${format.value}`;
  const seconds = (status.duration_ms / 1000).toFixed(1);
  $("#facts").textContent = `${seconds} s of audio, made in ${(tookMs / 1000).toFixed(1)} s. ${ticket.message}`;
  player.load(status.audio_url, `/history/${path.split("/").pop()}/peaks`, { play: true });
  renewCredits();
}

function refuse(error) {
  player.stop();
  $("#result").hidden = true;
  const isWanted = error.code === "cancelled"; // by the person: no error
  tell($("#told"), error.message, !isWanted);
  $("#again").hidden = isWanted;
  $("#enter").hidden = error.status !== 401;
  if (error.status && error.status !== 401) renewCredits().catch(() => {}); // the server was reached: it may have charged something
}

form.addEventListener("submit", (event) => { event.preventDefault(); if (!$("#go").ariaDisabled) speak(); });
form.addEventListener("input", (event) => { if (event.target.id.startsWith("by-")) narrow(); else follow(); });
$("#again button").addEventListener("click", () => form.requestSubmit());
$("#cancel").addEventListener("click", () => {
  if (running) ask(`/v1/jobs/${running.job}`, { method: "DELETE" }).catch(refuse);
});
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
follow();
