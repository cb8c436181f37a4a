"""Request bodies in the OpenAPI document, for routes that decode their own body."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody

Json = dict[str, Any]
# Added to fields of these names wherever they occur: bounds that the domain checks, and example values.
_FIELDS: Mapping[str, Json] = {
    "account": {"examples": ["you@example.org"]},
    "amount": {"examples": [100]},
    "current_password": {"examples": ["correct horse battery"]},
    "email": {"examples": ["you@example.org"]},
    "input": {"minLength": 1, "examples": ["Hello world"]},
    "invite": {"examples": [None]},
    "kind": {"examples": ["speech"]},
    "language": {"examples": [None]},
    "language_code": {"examples": [None]},
    "model": {"examples": [None]},
    "model_id": {"examples": [None]},
    "name": {"examples": ["my server"]},
    "new_password": {"minLength": 8, "maxLength": 1024, "examples": ["better horse battery"]},
    "password": {"minLength": 8, "maxLength": 1024, "examples": ["correct horse battery"]},
    "plan": {"examples": ["free"]},
    "reason": {"minLength": 1, "maxLength": 200, "examples": ["invoice 42"]},
    "scopes": {"examples": [["speech"]]},
    "session_id": {"examples": [None]},
    "text": {"minLength": 1, "examples": ["Hello world"]},
    "transcript": {"minLength": 1, "examples": ["What the browser heard"]},
    "voice": {"examples": ["Emma"]},
}


def request_body(
    body: type[msgspec.Struct], *, media_type: str = "application/json", required: bool = True
) -> type[Operation]:
    """The operation class that documents the body of a route that decodes its own body."""

    @dataclass
    class WithBody(Operation):
        def __post_init__(self) -> None:
            schema: Any = schema_of(body)
            for name, found in schema["properties"].items():
                found |= _FIELDS.get(name, {})
            content = {media_type: OpenAPIMediaType(schema=schema)}
            self.request_body = RequestBody(content=content, required=required)

    return WithBody


def schema_of(kind: Any) -> Json:
    """The JSON schema of a type with all references resolved."""
    schema = msgspec.json.schema(kind)
    return _resolved(schema, schema.get("$defs", {}))


def _resolved(found: Any, definitions: Json) -> Any:
    if isinstance(found, list):
        return [_resolved(one, definitions) for one in found]
    if not isinstance(found, dict):
        return found
    if "$ref" in found:
        return _resolved(definitions[found["$ref"].rpartition("/")[2]], definitions)
    return {name: _resolved(one, definitions) for name, one in found.items() if name != "$defs"}
