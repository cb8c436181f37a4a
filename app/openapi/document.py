"""The OpenAPI document, as JSON only: the usual viewers load scripts from other sites."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme

from app.domain.errors import NotFound
from app.http.authentication import Connection
from app.http.json_response import JsonResponse

Json = dict[str, Any]
_SCHEMES: dict[str, Any] = {
    "key": SecurityScheme(type="apiKey", name="X-API-Key", security_scheme_in="header"),
    "xi_key": SecurityScheme(type="apiKey", name="xi-api-key", security_scheme_in="header"),
    "bearer": SecurityScheme(type="http", scheme="bearer"),
}
_HEADERS: Json = {
    "X-Request-ID": {"required": True, "schema": {"type": "string"}},
    "Retry-After": {"required": True, "schema": {"type": "integer"}},
    "WWW-Authenticate": {"required": True, "schema": {"type": "string"}},
}
_PAGE = re.compile(rb"Page_[\w.]+\.(\w+)_")  # the framework's name of Page[Row]
_OF_STATUS = {"429": "Retry-After", "503": "Retry-After", "401": "WWW-Authenticate"}


async def _nobody(_connection: Connection, _handler: BaseRouteHandler) -> None:
    """The guard of the framework's own routes, which would serve the incomplete document."""
    raise NotFound("There is nothing at this path.")


def openapi_config() -> OpenAPIConfig:
    """The framework's part of the document."""
    return OpenAPIConfig(
        title="CodeVoice",
        version="1",
        description="Text to speech and speech to text, in four dialects.",
        license=License(name="Apache License 2.0", identifier="Apache-2.0"),
        components=Components(security_schemes=_SCHEMES),
        security=[{name: []} for name in _SCHEMES],
        use_handler_docstrings=True,
        openapi_router=Router("/openapi", route_handlers=[], include_in_schema=False, guards=[_nobody]),
        render_plugins=[JsonRenderPlugin()],
    )


class Document:
    """The document as JSON; built on first use from the framework's."""

    def __init__(self, framework: Callable[[], Json]) -> None:
        self._framework = framework
        self._made: bytes | None = None

    def text(self) -> bytes:
        """The document as JSON."""
        if self._made is None:
            text = msgspec.json.encode(completed(self._framework()))
            self._made = _PAGE.sub(rb"\1Page", text)
        return self._made


@get("/openapi.json", opt={"public": True}, include_in_schema=False)
async def openapi_document(document: NamedDependency[Document]) -> JsonResponse[bytes]:
    """Send the OpenAPI document of this API."""
    return JsonResponse(document.text())


def completed(document: Json) -> Json:
    """The framework's document with what it cannot say: the headers of responses, and unions that overlap."""
    document["components"]["headers"] = _HEADERS
    for verbs in document["paths"].values():
        for verb, operation in verbs.items():
            if verb == "head":
                operation["responses"].pop("206", None)
            for status, response in operation["responses"].items():
                _complete(response, status, has_body=verb != "head")
    return _any_of(document)


def _complete(response: Json, status: str, *, has_body: bool) -> None:
    names = ["X-Request-ID", *([_OF_STATUS[status]] if status in _OF_STATUS else [])]
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    response["headers"] = response.get("headers", {}) | headers
    if not has_body or not response.get("content"):
        response.pop("content", None)


def _any_of(found: Any) -> Any:
    """Replace `oneOf` with `anyOf`: unions are not exclusive, as 5 is both an integer and a number.

    A union of one, which an optional field leaves, is that one.
    """
    if isinstance(found, list):
        return [_any_of(one) for one in found]
    if not isinstance(found, dict):
        return found
    options = found.get("oneOf", ())
    if len(options) == 1:
        return _any_of({name: one for name, one in found.items() if name != "oneOf"} | options[0])
    return {"anyOf" if name == "oneOf" else name: _any_of(one) for name, one in found.items()}
