"""What `codevoice up` tells a person when all is ready."""

import json
import shlex

from ops.listener import get

_TEXT = """\
CodeVoice is ready at {url}

  account   {email}
  password  {password}
  API key   {api_key}

The built-in voice is eSpeak NG: robotic, quality "low", but instant and without downloads; XTTS is the
neural one. Try it; both end in a playable voice.wav:

{curl}

{python}

Ctrl-C stops everything; the data stays in {folder}
"""

_CURL = """\
job=$(curl -sS {url}/v1/tts -H 'X-API-Key: {api_key}' -H 'Content-Type: application/json' -d {body} \
| sed -E 's/.*"job_id": *"([^"]+)".*/\\1/'); \
until curl -sS {url}/tts/status/$job | grep -Eq '"(completed|failed)"'; do sleep 0.2; done; \
curl -sSf -o voice.wav {url}/tts/audio/$job"""

_PYTHON = """\
import json, time, urllib.request as r; u = "{url}"; \
ask = lambda path, *more: r.urlopen(r.Request(u + path, *more)).read(); \
job = json.loads(ask("/v1/tts", json.dumps({body}).encode(), \
{{"X-API-Key": "{api_key}", "Content-Type": "application/json"}}))["job_id"]; \
state = lambda: time.sleep(0.2) or json.loads(ask("/tts/status/" + job))["status"]; \
next(s for s in iter(state, None) if s in ("completed", "failed")); \
open("voice.wav", "wb").write(ask("/tts/audio/" + job))"""


def welcome(*, url: str, email: str, password: str, api_key: str, voice: str, folder: str) -> str:
    """The text, with a curl line and a Python line that work as pasted into a shell."""
    body = {"text": "Hello from CodeVoice.", "voice": voice}
    curl = _CURL.format(url=url, api_key=api_key, body=shlex.quote(json.dumps(body)))
    python = _PYTHON.format(url=url, api_key=api_key, body=json.dumps(body))
    return _TEXT.format(
        url=url,
        email=email,
        password=password,
        api_key=api_key,
        folder=folder,
        curl=curl,
        python=f"python3 -c {shlex.quote(python)}",
    )


def voice_to_show(url: str) -> str:
    """The first English voice the stack has, else the first of all."""
    for query in ("?language=en", ""):
        found = json.loads(get(url, f"/v1/voices{query}") or b"{}").get("voices")
        if found:
            return str(found[0]["name"])
    return "espeak"
