"""Error responses in the OpenAPI document: the codes of each status, in the shape of the path's dialect."""

from collections.abc import Iterable
from typing import Any

from app.domain.errors import DomainError
from app.http.error_shapes import dialect, public

Json = dict[str, Any]
Kind = type[DomainError]
REQUEST_ID: Json = {"X-Request-ID": {"required": True, "schema": {"type": "string"}}}
_WITH_RETRY = (429, 503)
_TEXT: Json = {"type": "string"}


def error_responses(path: str, kinds: Iterable[Kind], *, has_body: bool) -> Json:
    """The responses for these errors, by status. Responses to HEAD have no body."""
    codes: dict[int, set[str]] = {}
    for kind in kinds:
        status, code = public(kind, path)
        codes.setdefault(status, set()).add(code)
    return {str(status): _problem(path, status, sorted(codes[status]), has_body) for status in sorted(codes)}


def _problem(path: str, status: int, codes: list[str], has_body: bool) -> Json:
    headers = REQUEST_ID | ({"Retry-After": _needed("integer")} if status in _WITH_RETRY else {})
    if status == 401:
        headers = headers | {"WWW-Authenticate": _needed("string")}
    response: Json = {"description": ", ".join(f"`{code}`" for code in codes), "headers": headers}
    if not has_body:
        return response
    return response | {"content": {"application/json": {"schema": _schema(path, codes)}}}


def _needed(kind: str) -> Json:
    return {"required": True, "schema": {"type": kind}}


def _schema(path: str, codes: list[str]) -> Json:
    """The schema by path alone; if a header chooses between two dialects, either is allowed."""
    shapes = {dialect(path, has_xi_key=has_xi_key).__name__ for has_xi_key in (False, True)}
    found = [_SHAPES[name](_one_of(codes)) for name in sorted(shapes)]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _one_of(codes: list[str]) -> Json:
    return {"type": "string", "enum": codes}


def _object(**properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def _codevoice(code: Json) -> Json:
    user_type: Json = {"type": ["string", "null"]}
    return _object(detail=_object(error=code, message=_TEXT, user_type=user_type))


def _elevenlabs(code: Json) -> Json:
    return _object(detail=_object(status=code, message=_TEXT))


def _openai(code: Json) -> Json:
    param: Json = {"type": ["string", "null"]}
    return _object(error=_object(message=_TEXT, type=_TEXT, param=param, code=code))


def _yourvoic(code: Json) -> Json:
    error = _object(code=code, message=_TEXT, category=_TEXT, resolution=_TEXT)
    when: Json = {"type": "string", "format": "date-time"}
    return _object(success={"const": False}, error=error, request_id=_TEXT, timestamp=when)


_SHAPES = {
    "codevoice": _codevoice,
    "elevenlabs": _elevenlabs,
    "openai": _openai,
    "yourvoic": _yourvoic,
}
