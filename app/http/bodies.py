"""Bodies of requests: read within the limit, decoded, and every fault named."""

import re
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.types import Scope

from app.domain.errors import BadRequest, BodyTooLarge, Invalid, MalformedJson, UnsupportedMediaType
from app.http.disconnects import ClientDisconnected

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]

_FORM = "application/x-www-form-urlencoded"  # what curl -d says of JSON too
_MISSING = re.compile(r"missing required field `(\w+)`")


async def read_json(request: AnyRequest, decoder: msgspec.json.Decoder[T], *, bytes_max: int) -> T:
    """The body decoded. Raises 400, 413, 415 and 422 refusals."""
    return decode_json(await read_body(request, bytes_max=bytes_max), decoder)


async def read_body(request: AnyRequest, *, bytes_max: int) -> bytes:
    """The whole body of a JSON route."""
    content_type = (header_of(request.scope, "content-type") or "").lower()
    body = b"" if content_type.startswith("multipart/") else await _received(request, bytes_max)
    if content_type.startswith("multipart/") or (
        content_type.startswith(_FORM) and body.lstrip()[:1] not in (b"", b"{")
    ):
        raise UnsupportedMediaType("Send the body as JSON, with 'Content-Type: application/json'.")
    return body


def header_of(scope: Scope, wanted: str) -> str | None:
    """The first header of that name, which is given in lower case."""
    encoded = wanted.encode()
    for name, value in scope["headers"]:
        if name == encoded:
            return value.decode("latin-1")
    return None


async def _received(request: AnyRequest, bytes_max: int) -> bytes:
    """Refused as soon as it is known to be too large: where its length is told, before any of it."""
    length = header_of(request.scope, "content-length")
    body, more = b"", True
    if length is not None and int(length) > bytes_max:  # the parser let only a number pass
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
    """A refusal in the words of msgspec, which says what was expected, and where."""
    message, _, path = text.partition(" - at `$")
    missing = _MISSING.search(message)
    field = ".".join(part for part in (path.strip("`").lstrip("."), missing[1] if missing else "") if part)
    if missing:
        return Invalid(f"The field '{field}' is missing.", field=field)
    return Invalid(
        f"The field '{field}' is wrong: {message.lower()}." if field else message, field=field or None
    )
