"""Operation classes: what types cannot say of a route, such as binary audio in several formats."""

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)

from db.formats import FORMATS

BYTES = "application/octet-stream"  # audio, for clients that accept nothing else by name
EVENTS = "text/event-stream"
AUDIO = (*sorted({form.content_type for form in FORMATS.values()}), BYTES)


def sends(*media_types: str, status: int = 200, only: bool = True) -> type[Operation]:
    """The operation of a route that responds with content of these types, instead of JSON or beside it."""

    @dataclass
    class Sending(Operation):
        def __post_init__(self) -> None:
            response: Any = (self.responses or {})[str(status)]
            content = {} if only else response.content
            response.content = content | {kind: _media_type(kind) for kind in media_types}

    return Sending


def sends_file(*media_types: str, has_parts: bool = False) -> type[Operation]:
    """The operation of a route that sends a stored file: whole, in part, or not at all if it is unchanged."""

    @dataclass
    class SendingFile(Operation):
        def __post_init__(self) -> None:
            responses: Any = self.responses
            responses["200"].content = {kind: _media_type(kind) for kind in media_types}
            if has_parts:
                responses["206"] = OpenAPIResponse("A part of the file", content=responses["200"].content)
            responses["304"] = OpenAPIResponse("The file has not changed")

    return SendingFile


def uploads(form: type[msgspec.Struct], *media_types: str) -> type[Operation]:
    """The operation of a route that reads a multipart form of these fields itself, while it arrives.

    `media_types`: what it responds with beside JSON.
    """

    @dataclass
    class Uploading(Operation):
        def __post_init__(self) -> None:
            schema = msgspec.json.schema(form)["$defs"][form.__name__]
            content: Any = {"multipart/form-data": OpenAPIMediaType(schema=schema)}
            self.request_body = RequestBody(content=content, required=True)
            response: Any = (self.responses or {})["200"]
            response.content |= {kind: _media_type(kind) for kind in media_types}

    return Uploading


@dataclass
class OptionalBody(Operation):
    """The operation of a route whose body may be absent."""

    def __post_init__(self) -> None:
        body: Any = self.request_body
        body.required = False


def _media_type(kind: str) -> OpenAPIMediaType:
    if kind == EVENTS:
        return OpenAPIMediaType()  # a schema would be that of each event's data
    binary = OpenAPIFormat.BINARY if kind in AUDIO else None
    return OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=binary))
