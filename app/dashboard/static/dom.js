// Small things all scripts share: requests, copying, saving, telling.

export const $ = (selector, within = document) => within.querySelector(selector);

const account = $('meta[name="account"]')?.content ?? null;
let formToken = $('meta[name="form-token"]').content;

/** What the server refused, with its code; `status` 0: it was not reached. */
export class Refused extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Ask the API as the person logged in. Resolves to the JSON of the answer; rejects with Refused. */
export function ask(path, { method = "GET", json, headers = {}, signal } = {}) {
  const body = json === undefined ? undefined : JSON.stringify(json);
  if (body) headers = { ...headers, "Content-Type": "application/json" };
  return inSession((csrf) => answered(path, { method, body, signal, headers: { ...headers, ...csrf } }));
}

/** Do what needs the headers of this browser's session; once more where the person has logged in anew since. */
export async function inSession(request) {
  try {
    return await request({ "X-CSRF-Token": formToken });
  } catch (error) {
    if (error.code !== "stale_form") throw error;
    await renewToken();
    return request({ "X-CSRF-Token": formToken });
  }
}

async function renewToken() {
  const found = await answered("/session/token", {});
  if (found.account === null) throw refusal(401, {});
  if (found.account !== account) {
    throw new Refused("Another account is logged in in this browser now. Copy what you need, then load this page again.", 403, "other_account");
  }
  formToken = found.form_token;
  for (const field of document.querySelectorAll('input[name="form_token"]')) field.value = formToken;
}

async function answered(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server could not be reached. Check the connection, then try again.", 0, "unreachable");
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw refusal(answer.status, found);
  return found;
}

/** The refusal in an answer of the API. */
export function refusal(status, found) {
  const detail = found.detail ?? found.error ?? {};
  if (status === 401) return new Refused("You were logged out. Log in in another tab, then try again: what you typed stays here.", status, detail.error);
  return new Refused(detail.message ?? `The server answered ${status}.`, status, detail.error ?? detail.code);
}

/** A key that makes a repeated request the same request. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Show `text` as an element's only content; hide the element where there is none. */
export function tell(element, text, isError = false) {
  element.textContent = text;
  element.hidden = !text;
  element.classList.toggle("bad", isError);
}

/** Copy, and say so on the button for a moment. */
export async function copy(button, text) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = copyOldWay(text) ? "Copied" : "Press Ctrl+C";
  }
  setTimeout(() => { button.textContent = before; }, 1500);
}

// Pages that come without TLS have no clipboard.
function copyOldWay(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

/** Give the person a text as a file. */
export function save(name, text, type = "text/plain") {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Show anew what is left, after something was spent. */
export async function renewCredits() {
  const shown = $("[data-left]");
  const { credits } = await ask("/api/auth/me");
  if (shown) shown.textContent = credits.total_remaining ?? "∞";
}
