"""Bodies of requests: read within the limit, decoded, and every fault named."""

import re
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from app.domain.errors import BadRequest, BodyTooLarge, Invalid, MalformedJson, UnsupportedMediaType

T = TypeVar("T")
AnyRequest = Request[Any, Any, Any]

_FORM = "application/x-www-form-urlencoded"  # what curl -d says of JSON too
_MISSING = re.compile(r"missing required field `(\w+)`")


async def read_json(request: AnyRequest, decoder: msgspec.json.Decoder[T], *, bytes_max: int) -> T:
    """The body decoded. Raises 400, 413, 415 and 422 refusals."""
    return decode_json(await read_body(request, bytes_max=bytes_max), decoder)


async def read_body(request: AnyRequest, *, bytes_max: int) -> bytes:
    """The whole body of a JSON route."""
    content_type = request.headers.get("content-type", "").lower()
    try:
        body = b"" if content_type.startswith("multipart/") else await request.body()
    except RequestEntityTooLarge:
        raise BodyTooLarge(
            f"The body has more than {bytes_max} bytes.", field="body", limit=bytes_max
        ) from None
    except InternalServerException:  # what Litestar makes of a caller who left
        raise BadRequest("The body ended too early.") from None
    if content_type.startswith("multipart/") or (
        content_type.startswith(_FORM) and body.lstrip()[:1] not in (b"", b"{")
    ):
        raise UnsupportedMediaType("Send the body as JSON, with 'Content-Type: application/json'.")
    return body


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
