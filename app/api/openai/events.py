"""Server-sent events as OpenAI's SDKs expect them: JSON with a `type` field."""

import msgspec
from msgspec import Struct

from app.domain.errors import DomainError
from app.http.error_shapes import openai_error


def event(content: Struct) -> bytes:
    """Encode one event."""
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


def error_event(error: DomainError) -> bytes:
    """Encode the last event of a stream that failed: the SDKs raise it as an exception."""
    return b"event: error\ndata: " + msgspec.json.encode(openai_error(error)) + b"\n\n"
