"""Server-sent events as OpenAI's SDKs read them: JSON that says its own type."""

import msgspec
from msgspec import Struct

from app.domain.errors import DomainError
from app.http.error_shapes import openai_error

EVENT_STREAM = "text/event-stream"


def event(content: Struct) -> bytes:
    """One event."""
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


def error_event(error: DomainError) -> bytes:
    """The last event where no more can come: the SDKs raise it."""
    return b"event: error\ndata: " + msgspec.json.encode(openai_error(error)) + b"\n\n"
