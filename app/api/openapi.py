"""The OpenAPI document, as JSON only: the usual viewers load scripts from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Litestar, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import (
    Components,
    OpenAPIMediaType,
    Operation,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
)

_TITLE, _VERSION = "CodeVoice", "1"


def takes(body: type[msgspec.Struct], *, media_type: str = "application/json") -> type[Operation]:
    """For a route that decodes its own body: the operation that says what is in it."""
    schema = msgspec.json.schema(body)
    (definition,) = [found for name, found in schema["$defs"].items() if name == body.__name__]

    @dataclass
    class Taking(Operation):
        def __post_init__(self) -> None:
            content = {media_type: OpenAPIMediaType(schema=_schema(definition))}
            self.request_body = RequestBody(content=content, required=True)

    return Taking


class Document:
    """The OpenAPI document of `routes`, as JSON; made when first asked for."""

    def __init__(self, routes: Sequence[HTTPRouteHandler]) -> None:
        self._routes = routes
        self._made: bytes | None = None

    def text(self) -> bytes:
        """The document."""
        if self._made is None:
            self._made = _document(self._routes)
        return self._made


def document_route(document: Document) -> HTTPRouteHandler:
    """GET /openapi.json."""

    @get("/openapi.json", opt={"public": True}, include_in_schema=False, media_type="application/json")
    async def openapi() -> bytes:
        return document.text()

    return openapi


def _document(routes: Sequence[HTTPRouteHandler]) -> bytes:
    schemes: dict[str, Any] = {
        "key": SecurityScheme(type="apiKey", name="X-API-Key", security_scheme_in="header"),
        "xi_key": SecurityScheme(type="apiKey", name="xi-api-key", security_scheme_in="header"),
        "bearer": SecurityScheme(type="http", scheme="bearer"),
    }
    config = OpenAPIConfig(
        title=_TITLE,
        version=_VERSION,
        components=Components(security_schemes=schemes),
        security=[{name: []} for name in schemes],
    )
    described = Litestar(route_handlers=list(routes), openapi_config=config)
    return msgspec.json.encode(described.openapi_schema.to_schema())


def _schema(definition: dict[str, Any]) -> Schema:
    properties: dict[str, Reference | Schema] = {
        name: _property(found) for name, found in definition["properties"].items()
    }
    return Schema(
        title=definition.get("title"),
        description=definition.get("description"),
        type="object",  # type: ignore[arg-type]
        properties=properties,
        required=definition.get("required"),
    )


def _property(found: dict[str, Any]) -> Schema:
    parts = found.get("anyOf", [found])
    types = list(dict.fromkeys(_type(part) for part in parts))
    return Schema(
        type=types if len(types) > 1 else types[0],
        format=found.get("format"),
        enum=found.get("enum"),
        default=found.get("default"),
    )


def _type(part: dict[str, Any]) -> Any:
    return "object" if "$ref" in part else str(part.get("type", "string"))  # choices are of strings
