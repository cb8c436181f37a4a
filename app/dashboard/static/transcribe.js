// A recording, or the microphone, becomes text: by this server, or by the browser's own recogniser.
import { $, Refused, ask, inSession, newKey, refusal, renewCredits, save, tell } from "./dom.js";

const Recognition = window.SpeechRecognition ?? window.webkitSpeechRecognition;
let segments = [];
let again = null; // what "Try again" does
let upload = null; // the request under way

// ---- What is shown

function begin(state) {
  tell($("#told"), "");
  $("#again").hidden = $("#take").hidden = true;
  $("#transcript").textContent = $("#facts").textContent = "";
  segments = [];
  busy(state);
}

function busy(state) {
  $("#working").hidden = !state;
  $("#state").textContent = state;
  $("#progress").hidden = !state.startsWith("Uploading");
  $("#send").disabled = Boolean(state);
}

function done(text, found, facts) {
  busy("");
  segments = found;
  $("#transcript").textContent = text;
  $("#take").hidden = !text;
  for (const button of document.querySelectorAll("[data-save='srt'], [data-save='vtt']")) button.hidden = !found.length;
  $("#facts").textContent = facts;
  renewCredits();
}

function refuse(error, retry) {
  busy("");
  tell($("#told"), error.message, true);
  again = retry;
  $("#again").hidden = !retry;
  $("#enter").hidden = error.status !== 401;
  if (error.status && error.status !== 401) renewCredits().catch(() => {}); // the server was reached: it may have charged something
}

// ---- A file

async function transcribe(file, name, key = newKey()) {
  begin("Uploading");
  const body = new FormData();
  if ($("#language").value) body.append("language", $("#language").value);
  body.append("file", file, name);
  $("#stop").hidden = false;
  try {
    const { text, segments: found, duration, language, credits } = await inSession((csrf) => send(body, key, csrf));
    const left = credits.remaining === null ? "unlimited" : `${credits.remaining} left`;
    done(text, found, `${Number(duration).toFixed(1)} s, ${language}. ${credits.used} credits used, ${left}.`);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refuse(error, () => transcribe(file, name, error.status ? newKey() : key));
  } finally {
    $("#stop").hidden = true;
  }
}

// fetch cannot tell how much of a body has gone out.
function send(body, key, csrf) {
  return new Promise((resolve, reject) => {
    upload = new XMLHttpRequest();
    upload.open("POST", "/transcribe");
    upload.responseType = "json";
    upload.setRequestHeader("X-CSRF-Token", csrf["X-CSRF-Token"]);
    upload.setRequestHeader("Idempotency-Key", key);
    upload.upload.onprogress = ({ loaded, total }) => { $("#progress").value = (100 * loaded) / total; };
    upload.upload.onload = () => busy("Listening to it");
    upload.onload = () => (upload.status === 200 ? resolve(upload.response) : reject(refusal(upload.status, upload.response ?? {})));
    upload.onerror = () => reject(new Refused("The server could not be reached. Check the connection, then try again.", 0, "unreachable"));
    upload.onabort = () => reject(new Refused("Stopped.", 1, "stopped"));
    upload.send(body);
  });
}

$("#upload").addEventListener("submit", (event) => {
  event.preventDefault();
  const [file] = $("#file").files;
  transcribe(file, file.name);
});
$("#stop").addEventListener("click", () => upload?.abort());
$("#again button").addEventListener("click", () => again?.());

// ---- The microphone, heard by this server

let recorder = null;

async function record() {
  if (recorder) return recorder.stop();
  let sound;
  try {
    sound = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch {
    return refuse(new Error("There is no microphone, or this page may not use it."), null);
  }
  const parts = [];
  recorder = new MediaRecorder(sound);
  recorder.ondataavailable = ({ data }) => parts.push(data);
  recorder.onstop = () => {
    for (const track of sound.getTracks()) track.stop();
    const { mimeType } = recorder;
    recorder = null;
    $("#record").textContent = "Record";
    transcribe(new Blob(parts, { type: mimeType }), `talk.${mimeType.includes("mp4") ? "m4a" : "webm"}`);
  };
  recorder.start();
  begin("Recording");
  $("#record").textContent = "Stop and transcribe";
}

$("#record").addEventListener("click", record);
$("#record").disabled = !navigator.mediaDevices?.getUserMedia || !window.MediaRecorder;

// ---- The microphone, heard by the browser

let talk = null;

async function live() {
  if (talk) return talk.recognition.stop();
  begin("Starting");
  try {
    const { session_id } = await ask("/api/stt/live/start", { method: "POST" });
    talk = { session_id, recognition: new Recognition(), began: performance.now(), said: "" };
  } catch (error) {
    return refuse(error, live);
  }
  hear(talk);
}

function hear(one) {
  const { recognition } = one;
  recognition.continuous = recognition.interimResults = true;
  recognition.lang = $("#language").value || navigator.language;
  recognition.onresult = ({ results }) => {
    const heard = [...results];
    one.said = heard.filter((result) => result.isFinal).map((result) => result[0].transcript).join("").trim();
    $("#transcript").textContent = heard.map((result) => result[0].transcript).join("").trim();
  };
  recognition.onerror = ({ error }) => { one.error = error; };
  recognition.onend = () => { talk = null; $("#live").textContent = "Talk live"; complete(one); };
  recognition.start();
  busy("Listening");
  $("#live").textContent = "Stop";
}

async function complete(one) {
  const transcript = one.said;
  if (!transcript) {
    const why = one.error && one.error !== "no-speech" ? `The browser's recogniser stopped: ${one.error}.` : "Nothing was heard.";
    return refuse(new Error(`${why} Nothing was charged.`), live);
  }
  const duration_ms = Math.round(performance.now() - one.began);
  try {
    const { message } = await ask("/api/stt/live/complete", {
      method: "POST", json: { transcript, session_id: one.session_id, language: one.recognition.lang, duration_ms },
    });
    done(transcript, [], message);
  } catch (error) {
    done(transcript, [], "");
    refuse(error, () => complete(one));
  }
}

$("#live").addEventListener("click", live);
$("#live").disabled = !Recognition;

// ---- Taking it along

function clock(seconds, mark) {
  const ms = Math.round(seconds * 1000);
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  return `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}${mark}${String(ms % 1000).padStart(3, "0")}`;
}

const written = {
  txt: () => $("#transcript").textContent + "\n",
  srt: () => segments.map(({ start, end, text }, n) => `${n + 1}\n${clock(start, ",")} --> ${clock(end, ",")}\n${text.trim()}\n`).join("\n"),
  vtt: () => "WEBVTT\n\n" + segments.map(({ start, end, text }) => `${clock(start, ".")} --> ${clock(end, ".")}\n${text.trim()}\n`).join("\n"),
};

document.addEventListener("click", (event) => {
  const form = event.target.dataset?.save;
  if (form) save(`transcript.${form}`, written[form]());
});

ask("/api/stt/languages").then(
  ({ languages }) => $("#language").append(...languages.map(({ code, name }) => new Option(name, code))),
  () => {}); // then it is found out
