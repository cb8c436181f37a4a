"""The OpenAPI document, as JSON only: the usual viewers load scripts from elsewhere."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import product
from typing import Any

import msgspec
from litestar import Litestar, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from app.openapi.errors import REQUEST_ID, Json, error_responses
from app.openapi.responses import IDEMPOTENCY_KEY, RouteResponses, refusals_of, responses_of

_TITLE, _VERSION = "CodeVoice", "1"
_TYPED = re.compile(r":\w+}")
_SCHEMES: dict[str, Any] = {
    "key": SecurityScheme(type="apiKey", name="X-API-Key", security_scheme_in="header"),
    "xi_key": SecurityScheme(type="apiKey", name="xi-api-key", security_scheme_in="header"),
    "bearer": SecurityScheme(type="http", scheme="bearer"),
}


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
    config = OpenAPIConfig(
        title=_TITLE,
        version=_VERSION,
        components=Components(security_schemes=_SCHEMES),
        security=[{name: []} for name in _SCHEMES],
    )
    described = Litestar(route_handlers=list(routes), openapi_config=config, logging_config=None)
    document = described.openapi_schema.to_schema()
    for route in routes:
        for path, method in product(route.paths, route.http_methods):
            template = _TYPED.sub("}", path)
            _complete(document["paths"][template][method.lower()], str(method), template, route.opt)
    document["components"]["responses"] = _shared(document["paths"])
    return msgspec.json.encode(_any_of(document))


def _shared(paths: Json) -> Json:
    """Refusals that several routes answer with, written once; in their place, references."""
    kept: Json = {}
    names: dict[bytes, str] = {}
    for operation in (operation for verbs in paths.values() for operation in verbs.values()):
        for status, answer in operation["responses"].items():
            if status >= "400":
                name = names.setdefault(msgspec.json.encode(answer), f"Refusal{status}_{len(names)}")
                kept[name] = answer
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return kept


def _complete(operation: Json, method: str, path: str, opt: Mapping[str, Any]) -> None:
    """What the framework cannot know: who may call, which headers count, every answer there may be."""
    told = responses_of(method, path)
    if "public" in opt:
        operation["security"] = [{}]
    elif "body_key" in opt:
        operation["security"] = [*({name: []} for name in _SCHEMES), {}]
    if method == "HEAD":
        operation["operationId"] += "Head"
    operation["parameters"] = [*operation.get("parameters", ()), *map(_header, told.headers)]
    refusals = error_responses(path, refusals_of(path, opt, operation, told), has_body=method != "HEAD")
    said = {code: one for code, one in operation["responses"].items() if code < "300"}
    operation["responses"] = _answers(said, told) | refusals


def _answers(said: Json, told: RouteResponses) -> Json:
    """The answers that are no refusals."""
    for status, content in told.content.items():
        before = said.get(str(status), {"description": HTTPStatus(status).phrase})
        said[str(status)] = before | {"content": dict(content)}
    for one in said.values():
        one["headers"] = dict(REQUEST_ID)
        if not one.get("content"):
            one.pop("content", None)
    return said


def _header(name: str) -> Json:
    schema: Json = {"type": "string"}
    if name == IDEMPOTENCY_KEY:
        schema |= {"pattern": "^[ -~]+$", "minLength": 1, "maxLength": 255}
    return {"name": name, "in": "header", "required": False, "schema": schema}


def _any_of(found: Any) -> Any:
    """Unions are not exclusive: 5 is an integer and a number."""
    if isinstance(found, list):
        return [_any_of(one) for one in found]
    if not isinstance(found, dict):
        return found
    return {"anyOf" if name == "oneOf" else name: _any_of(one) for name, one in found.items()}
