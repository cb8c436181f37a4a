"""`codevoice transcribe`: sends one file over HTTP, as any client would, and shows the progress."""

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ops.say import ApiClient, reason

_ANSWER_S = 900.0  # longer than the API's own timeout
_PIECE_BYTES = 1 << 18


class TranscribeError(Exception):
    """The file was not transcribed; the message gives the reason."""


def transcribe(
    api: ApiClient, file: Path, *, language: str | None, report: Callable[[str], None]
) -> dict[str, Any]:
    """The API's response for `file`. Reports how much was sent, and then that it waits."""
    boundary = secrets.token_hex(16)
    head, tail = _framing(boundary, language), f"\r\n--{boundary}--\r\n".encode()
    try:
        size = file.stat().st_size
        body = _body(file, head, tail, size=size, report=report)
    except OSError as error:
        raise TranscribeError(f"{file} cannot be read: {error.strerror}") from None
    headers = {
        "X-API-Key": api.api_key,
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Length": str(len(head) + size + len(tail)),
    }
    request = urllib.request.Request(f"{api.url}/transcribe", data=body, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:  # noqa: S310 # nosec B310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise TranscribeError(f"{error.code}: {reason(error.read())}") from None
    except (OSError, HTTPException) as error:
        raise TranscribeError(f"{api.url} does not answer: {getattr(error, 'reason', error)}") from None


def _framing(boundary: str, language: str | None) -> bytes:
    field = f"--{boundary}\r\nContent-Disposition: form-data; name="
    part = f'{field}"language"\r\n\r\n{language}\r\n' if language else ""
    return f'{part}{field}"file"; filename="audio"\r\n\r\n'.encode()


def _body(
    file: Path, head: bytes, tail: bytes, *, size: int, report: Callable[[str], None]
) -> Iterator[bytes]:
    yield head
    sent, reported = 0, -1
    with file.open("rb") as content:
        while piece := content.read(_PIECE_BYTES):
            yield piece
            sent += len(piece)
            if reported < (tenth := 10 * sent // size):
                reported = tenth
                report(f"sent {10 * tenth} %")
    yield tail
    report("transcribing")
