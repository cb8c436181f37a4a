"""The OpenAPI document, as JSON only: the usual viewers load scripts from other sites."""

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
    """The OpenAPI document of `routes` as JSON; built on first use."""

    def __init__(self, routes: Sequence[HTTPRouteHandler]) -> None:
        self._routes = routes
        self._made: bytes | None = None

    def text(self) -> bytes:
        """The document as JSON."""
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
    app = Litestar(route_handlers=list(routes), openapi_config=config, logging_config=None)
    document = app.openapi_schema.to_schema()
    order = [_TYPED.sub("}", path) for route in routes for path in sorted(route.paths)]  # they are a set
    document["paths"] = {path: document["paths"][path] for path in dict.fromkeys(order)}
    for route in routes:
        for path, method in product(route.paths, route.http_methods):
            template = _TYPED.sub("}", path)
            _complete(document["paths"][template][method.lower()], str(method), template, route.opt)
    document["components"]["responses"] = _shared(document["paths"])
    return msgspec.json.encode(_any_of(document))


def _shared(paths: Json) -> Json:
    """Move each distinct error response into the shared components and reference it there."""
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
    """Add what the framework cannot know: authentication, request headers, and every possible response."""
    documented = responses_of(method, path)
    if "public" in opt:
        operation["security"] = [{}]
    elif "body_key" in opt:
        operation["security"] = [*({name: []} for name in _SCHEMES), {}]
    if method == "HEAD":
        operation["operationId"] += "Head"
    operation["parameters"] = [*operation.get("parameters", ()), *map(_header, documented.headers)]
    refusals = error_responses(path, refusals_of(path, opt, operation, documented), has_body=method != "HEAD")
    successes = {code: one for code, one in operation["responses"].items() if code < "300"}
    operation["responses"] = _successes(successes, documented) | refusals


def _successes(responses: Json, documented: RouteResponses) -> Json:
    """The responses that are not errors."""
    for status, content in documented.content.items():
        before = responses.get(str(status), {"description": HTTPStatus(status).phrase})
        responses[str(status)] = before | {"content": dict(content)}
    for one in responses.values():
        one["headers"] = dict(REQUEST_ID)
        if not one.get("content"):
            one.pop("content", None)
    return responses


def _header(name: str) -> Json:
    schema: Json = {"type": "string"}
    if name == IDEMPOTENCY_KEY:
        schema |= {"pattern": "^[ -~]+$", "minLength": 1, "maxLength": 255}
    return {"name": name, "in": "header", "required": False, "schema": schema}


def _any_of(found: Any) -> Any:
    """Replace `oneOf` with `anyOf`: unions are not exclusive, as 5 is both an integer and a number."""
    if isinstance(found, list):
        return [_any_of(one) for one in found]
    if not isinstance(found, dict):
        return found
    return {"anyOf" if name == "oneOf" else name: _any_of(one) for name, one in found.items()}
