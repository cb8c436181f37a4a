"""A request as code in several languages: programs that run unchanged, whatever text they contain."""

import json
import re

from msgspec import Struct

_BODY, _SHELL, _ENDING = "__BODY__", "__QUOTED__", "__FORMAT__"
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(?:/[A-Za-z0-9._~/-]*)?")
_DEFAULT_URL = "http://127.0.0.1:8000"
NO_KEY = "YOUR_API_KEY"

_CURL = """\
url=__URL__ key=__KEY__
job=$(curl -sSf $url/v1/tts -H "X-API-Key: $key" -H 'Content-Type: application/json' \\
  -d __QUOTED__ | sed -E 's/.*"job_id": *"([^"]+)".*/\\1/')
until curl -sS $url/tts/status/${job:?} | grep -qE '"(completed|failed)"'; do sleep 0.3; done
curl -sSf $url/tts/audio/$job -H "X-API-Key: $key" -o voice.__FORMAT__"""

_PYTHON = """\
import json, time, urllib.request

URL, KEY = "__URL__", "__KEY__"

def ask(path, body=None):
    headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
    sent = json.dumps(body).encode() if body else None
    return urllib.request.urlopen(urllib.request.Request(URL + path, sent, headers)).read()

job = json.loads(ask("/v1/tts", __BODY__))["job_id"]
while json.loads(ask(f"/tts/status/{job}"))["status"] not in ("completed", "failed"):
    time.sleep(0.3)
with open("voice.__FORMAT__", "wb") as file:
    file.write(ask(f"/tts/audio/{job}"))"""

_JAVASCRIPT = """\
import { writeFile } from "node:fs/promises";

const url = "__URL__";
const headers = { "X-API-Key": "__KEY__", "Content-Type": "application/json" };
const body = JSON.stringify(__BODY__);

const queued = await fetch(`${url}/v1/tts`, { method: "POST", headers, body });
if (!queued.ok) throw new Error(await queued.text());
const { job_id } = await queued.json();
let status;
while (!["completed", "failed"].includes(status)) {
  await new Promise((wake) => setTimeout(wake, 300));
  ({ status } = await (await fetch(`${url}/tts/status/${job_id}`)).json());
}
const audio = await fetch(`${url}/tts/audio/${job_id}`, { headers });
await writeFile("voice.__FORMAT__", Buffer.from(await audio.arrayBuffer()));"""


class Snippet(Struct, frozen=True, kw_only=True):
    """A program in one language. `template`: the same without the request, for a script to fill in."""

    language: str
    title: str
    text: str
    template: str = ""


def speech(*, url: str, key: str | None, body: dict[str, object]) -> list[Snippet]:
    """Programs in three languages that call `POST /v1/tts` with this body and save the audio to a file."""
    return [
        _snippet(language, title, _at(text, url, key), body)
        for language, title, text in (
            ("curl", "curl", _CURL),
            ("python", "Python", _PYTHON),
            ("javascript", "JavaScript", _JAVASCRIPT),
        )
    ]


def address(public_url: str, page_url: str) -> str:
    """The base URL for programs: the operator's public URL, or the URL that this page was requested at."""
    found = (public_url or page_url).rstrip("/")
    return found if _URL.fullmatch(found) else _DEFAULT_URL


def quoted(text: str) -> str:
    """Quote `text` as one word of a shell command."""
    return "'" + text.replace("'", "'\\''") + "'"


def _at(text: str, url: str, key: str | None) -> str:
    return text.replace("__URL__", url).replace("__KEY__", key or NO_KEY)


def _snippet(language: str, title: str, template: str, body: dict[str, object]) -> Snippet:
    sent = json.dumps(body, ensure_ascii=False)
    ending = str(body.get("format") or "wav")
    # The values are inserted in one pass: a placeholder that occurs inside a value stays as it is.
    parts = re.split(f"({_BODY}|{_SHELL}|{_ENDING})", template)
    filled = {_BODY: sent, _SHELL: quoted(sent), _ENDING: ending}
    text = "".join(filled.get(part, part) for part in parts)
    return Snippet(language=language, title=title, text=text, template=template)
