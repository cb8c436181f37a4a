"""`codevoice say`: speaks one text over HTTP, as any client would, into a file."""

import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from msgspec import Struct

from db.formats import FORMATS
from ops.stack.running import running_stack

_POLL_S = 0.1
_WAIT_S = 3600.0
_ANSWER_S = 30.0


class SayError(Exception):
    """The text was not spoken; the message gives the reason."""


class ApiClient(Struct, frozen=True, kw_only=True):
    """The API's URL, and the key to use."""

    url: str
    api_key: str


def api_client(environ: Mapping[str, str]) -> ApiClient:
    """CODEVOICE_URL and CODEVOICE_API_KEY if set, else the running stack's; raises NoStack."""
    url, key = environ.get("CODEVOICE_URL", ""), environ.get("CODEVOICE_API_KEY", "")
    if url and not key:
        raise SayError("CODEVOICE_URL needs CODEVOICE_API_KEY")
    if url:
        return ApiClient(url=url.rstrip("/"), api_key=key)
    stack = running_stack(environ)
    return ApiClient(url=stack.url, api_key=key or stack.api_key)


def say(api: ApiClient, text: str, *, voice: str, file: Path, report: Callable[[str], None]) -> None:
    """Speak `text` into `file`, in the format of its extension (else wav). Raises SayError, and then leaves
    no file.
    """
    form = file.suffix.lstrip(".").lower()
    body = {"text": text, "voice": voice, "format": form if form in FORMATS else "wav"}
    job = str(ask(api, "/v1/tts", body)["job_id"])
    report(f"{body['voice']} speaks: job {job}")
    _wait(api, job, report)
    _download(api, f"/tts/audio/{job}", file)
    report(f"wrote {file}")


def _wait(api: ApiClient, job: str, report: Callable[[str], None]) -> None:
    deadline, seen = time.monotonic() + _WAIT_S, ""
    while time.monotonic() < deadline:
        answer = ask(api, f"/tts/status/{job}")
        if answer["status"] == "failed":
            raise SayError(f"the job failed: {answer.get('error') or answer.get('reason')}")
        if answer["status"] != seen:
            seen = str(answer["status"])
            report(seen)
        if seen == "completed":
            return
        time.sleep(_POLL_S)
    raise SayError(f"job {job} was not done within {_WAIT_S:.0f} s; it goes on")


def _download(api: ApiClient, path: str, file: Path) -> None:
    part = file.with_name(f"{file.name}.part")
    try:
        with _open(api, path) as answer, part.open("wb") as to:
            shutil.copyfileobj(answer, to)
        os.replace(part, file)
    except OSError as error:
        raise SayError(f"{file} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def ask(api: ApiClient, path: str, body: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The JSON response to a GET, or to a POST of `body`. Raises SayError."""
    with _open(api, path, body) as answer:
        return json.load(answer)


def _open(api: ApiClient, path: str, body: Mapping[str, str] | None = None) -> BinaryIO:
    headers = {"X-API-Key": api.api_key, "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{api.url}{path}", data=content, headers=headers)  # noqa: S310
    try:
        return cast(BinaryIO, urllib.request.urlopen(request, timeout=_ANSWER_S))  # noqa: S310 # nosec B310
    except urllib.error.HTTPError as error:
        raise SayError(f"{error.code}: {reason(error.read())}") from None
    except (OSError, http.client.HTTPException) as error:
        raise SayError(f"{api.url} does not answer: {getattr(error, 'reason', error)}") from None


def reason(body: bytes) -> str:
    """The message of an error response in our own format, else the beginning of `body`."""
    try:
        return str(json.loads(body)["detail"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
