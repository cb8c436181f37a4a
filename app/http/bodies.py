"""Request bodies: read within the size limit, decoded, and every fault named."""

import re
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.types import Scope

from app.domain.errors import BadRequest, BodyTooLarge, Invalid, MalformedJson, UnsupportedMediaType
from app.http.disconnects import ClientDisconnected

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]

_FORM = "application/x-www-form-urlencoded"  # what curl -d sends for JSON too
_MISSING = re.compile(r"missing required field `(\w+)`")


async def read_json(request: AnyRequest, decoder: msgspec.json.Decoder[T], *, bytes_max: int) -> T:
    """Read and decode the body. Raises 400, 413, 415 and 422 errors."""
    return decode_json(await read_body(request, bytes_max=bytes_max), decoder)


async def read_body(request: AnyRequest, *, bytes_max: int) -> bytes:
    """Read the whole body of a JSON route. Raises 400, 413 and 415 errors."""
    content_type = (header_of(request.scope, "content-type") or "").lower()
    body = b"" if content_type.startswith("multipart/") else await _read_within(request, bytes_max)
    if content_type.startswith("multipart/") or (
        content_type.startswith(_FORM) and body.lstrip()[:1] not in (b"", b"{")
    ):
        raise UnsupportedMediaType("Send the body as JSON, with 'Content-Type: application/json'.")
    return body


def header_of(scope: Scope, wanted: str) -> str | None:
    """The value of the first header of that name; `wanted` is in lower case."""
    encoded = wanted.encode()
    for name, value in scope["headers"]:
        if name == encoded:
            return value.decode("latin-1")
    return None


async def _read_within(request: AnyRequest, bytes_max: int) -> bytes:
    """Read the body. Refuse it once known to be too large: before reading, if Content-Length says so."""
    length = header_of(request.scope, "content-length")
    body, more = b"", True
    if length is not None and int(length) > bytes_max:  # the parser accepts only a number
        raise _too_large(bytes_max)
    while more:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        body += message["body"]
        if len(body) > bytes_max:
            raise _too_large(bytes_max)
        more = message["more_body"]
    return body


def _too_large(bytes_max: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body has more than {bytes_max} bytes.", field="body", limit=bytes_max)


def decode_json(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """`body` decoded. Raises MalformedJson, and Invalid naming the field."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedJson(f"The body is not JSON: {_reason(error)}.") from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None


def _reason(error: Exception) -> str:
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def invalid(text: str) -> Invalid:
    """The error for a msgspec message, which says what was expected and in which field."""
    message, _, path = text.partition(" - at `$")
    missing = _MISSING.search(message)
    field = ".".join(part for part in (path.strip("`").lstrip("."), missing[1] if missing else "") if part)
    if missing:
        return Invalid(f"The field '{field}' is missing.", field=field)
    return Invalid(
        f"The field '{field}' is wrong: {message.lower()}." if field else message, field=field or None
    )
