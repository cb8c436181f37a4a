"""The request class: bodies are read within the size limit and decoded strictly, and every fault is named."""

import re
from functools import cache
from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.handlers import BaseRouteHandler
from litestar.types import Empty

from app.domain.errors import BadRequest, BodyTooLarge, Invalid, MalformedJson, UnsupportedMediaType
from app.domain.identity.principals import Principal
from app.http.disconnects import ClientDisconnected

_FORM = "application/x-www-form-urlencoded"  # what curl -d sends for JSON too
_MISSING = re.compile(r"missing required field `(\w+)`")
_BOUND = re.compile(r"[<>]=? (-?\d+(?:\.\d+)?)")


class ApiRequest(Request[Principal, None, State]):
    """Decodes a JSON body straight into the type of the handler's `data`.

    The framework's own decoding is lenient: it takes `"2.5"` for a number. Errors are domain errors.
    """

    async def body(self) -> bytes:
        """The body. Raises BodyTooLarge, UnsupportedMediaType, ClientDisconnected."""
        if self._body is not Empty:
            return self._body
        decoder = _decoder(self.route_handler)
        content_type = self.headers.get("content-type", "").lower() if decoder else ""
        if content_type.startswith("multipart/"):
            raise _not_json()
        try:
            body = await super().body()
        except RequestEntityTooLarge:
            limit = self.route_handler.resolve_request_max_body_size()
            raise BodyTooLarge(f"The body has more than {limit} bytes.", field="body", limit=limit) from None
        except InternalServerException:  # what the framework raises if the client disconnects
            raise ClientDisconnected from None
        if content_type.startswith(_FORM) and body.lstrip()[:1] not in (b"", b"{"):
            raise _not_json()
        return body

    async def json(self) -> Any:
        """The decoded body. Raises MalformedJson, and Invalid naming the field and its limit."""
        decoder = _decoder(self.route_handler)
        if decoder is None:
            return await super().json()
        try:
            return decoder.decode(await self.body())
        except msgspec.ValidationError as error:
            raise invalid(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise MalformedJson(f"The body is not JSON: {reason}.") from None
        except RecursionError:
            raise BadRequest("The body is nested too deeply.") from None


@cache
def _decoder(handler: BaseRouteHandler) -> msgspec.json.Decoder[Any] | None:
    field = handler.parsed_fn_signature.parameters.get("data")
    return field and msgspec.json.Decoder(field.annotation)


def _not_json() -> UnsupportedMediaType:
    return UnsupportedMediaType("Send the body as JSON, with 'Content-Type: application/json'.")


def invalid(text: str) -> Invalid:
    """The error for a msgspec message, which says what was expected and in which field."""
    message, _, path = text.partition(" - at `$")
    missing = _MISSING.search(message)
    field = ".".join(part for part in (path.strip("`").lstrip("."), missing[1] if missing else "") if part)
    if missing:
        return Invalid(f"The field '{field}' is missing.", field=field)
    return out_of_bounds(f"The field '{field}' is wrong" if field else "", message, field or None)


def out_of_bounds(what: str, message: str, field: str | None) -> Invalid:
    """The error for a value that msgspec refuses: `limit` is the bound that its message names."""
    bound = _BOUND.search(message)
    limit: dict[str, Any] = {"limit": msgspec.json.decode(bound[1])} if bound else {}
    return Invalid(f"{what}: {message.lower()}." if what else message, field=field, **limit)
