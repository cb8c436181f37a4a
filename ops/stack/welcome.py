"""What `codevoice up` prints when everything is ready."""

import json
import shlex

_TEXT = """\
CodeVoice is ready at {url}

  account   {email}
  password  {password}
  API key   {api_key}

Try it: open the address in a browser, or paste either line; both write a playable voice.wav:

{curl}

{python}

Ctrl-C stops everything; the data stays in {folder}
"""

_CURL = """\
curl -sSf {url}/v1/audio/speech -H 'Authorization: Bearer {api_key}' -H 'Content-Type: application/json' \
-d {body} -o voice.wav"""

_PYTHON = """\
import urllib.request as r; \
open("voice.wav", "wb").write(r.urlopen(r.Request("{url}/v1/audio/speech", {body!r}.encode(), \
{{"Authorization": "Bearer {api_key}", "Content-Type": "application/json"}})).read())"""


def welcome(*, url: str, email: str, password: str, api_key: str, folder: str) -> str:
    """The text, with a curl line and a Python line that work as pasted into a shell."""
    request = {"model": "tts-1", "voice": "Emma", "input": "Hello from CodeVoice.", "response_format": "wav"}
    body = json.dumps(request)
    curl = _CURL.format(url=url, api_key=api_key, body=shlex.quote(body))
    python = _PYTHON.format(url=url, api_key=api_key, body=body)
    return _TEXT.format(
        url=url,
        email=email,
        password=password,
        api_key=api_key,
        folder=folder,
        curl=curl,
        python=f"python3 -c {shlex.quote(python)}",
    )
