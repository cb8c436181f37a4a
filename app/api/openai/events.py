"""Server-sent events as OpenAI's SDKs read them: JSON that says its own type."""

import msgspec
from msgspec import Struct

EVENT_STREAM = "text/event-stream"


def event(content: Struct) -> bytes:
    """One event."""
    return b"data: " + msgspec.json.encode(content) + b"\n\n"
