"""Reads the forms of pages and checks their form token, which proves that a page of ours sent them."""

from typing import TypeVar, cast
from urllib.parse import parse_qsl

import msgspec
from litestar.handlers import BaseRouteHandler
from msgspec import Struct

from app.domain.errors import BadRequest
from app.http.api_request import ApiRequest, invalid
from app.http.authentication import Connection, Guard
from app.http.sessions import Sessions

F = TypeVar("F", bound=Struct)
_FIELDS_MAX = 100


def form_guard(sessions: Sessions) -> Guard:
    """The guard that refuses forms without a valid form token, before their handlers run."""

    async def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        """Raise StaleForm or BadRequest unless a page of ours sent the form."""
        if connection.scope.get("method") != "GET":
            sent = _fields(await cast("ApiRequest", connection).body())
            sessions.check(connection.scope["headers"], next(iter(sent.get("form_token", [])), ""))

    return guard


async def read_form(request: ApiRequest, kind: type[F]) -> F:
    """The form's fields. Raises BadRequest, and Invalid naming the field.

    Empty fields are absent. A field becomes a list if its type in `kind` is `list[str]`.
    """
    sent = _fields(await request.body())
    lists = {field.name for field in msgspec.structs.fields(kind) if field.type == list[str]}
    given = {name: values if name in lists else values[-1] for name, values in sent.items()}
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None


def _fields(body: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(body.decode(), max_num_fields=_FIELDS_MAX, errors="strict"):
            found.setdefault(name, []).append(value.replace("\r\n", "\n"))
    except ValueError:  # UnicodeDecodeError is one
        raise BadRequest("The form is malformed.") from None
    return found
