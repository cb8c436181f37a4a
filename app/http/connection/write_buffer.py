"""A buffered transport: a response leaves in one write, at the end of the event loop's iteration."""

import asyncio
from typing import Any

_HELD_BYTES_MAX = 16_384


class BufferedTransport:
    """A transport that joins the writes of one loop iteration: each write wakes up its reader and costs us.

    The data is sent when the iteration is over. So is that of other connections, one after the other: a
    client that reads several of them is woken up once, and takes no time from responses still being made. At
    most 16 KiB are held, and never beyond the iteration: the head of a stream does not wait.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send the data after what is held. A transport that is closing gets nothing."""
        held = self._held
        if len(held) + len(data) > _HELD_BYTES_MAX:
            self._held = b""
            if not self._transport.is_closing():
                self._transport.write(held + data if held else data)
        else:
            self._held = held + data
            if not held:
                self._loop.call_soon(self._send)

    def close(self) -> None:
        """Send what is held, then close."""
        self._send()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more will be sent."""
        return self._transport.is_closing()

    def _send(self) -> None:
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)
