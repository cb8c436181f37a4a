"""A connection on which an answer goes out in one piece, and after the answers made in the same turn."""

import asyncio
from typing import Any

_HELD_BYTES_MAX = 16_384


class BufferedTransport:
    """A transport: writes of one turn of the loop become one, since each costs us and its reader a waking.

    They leave when the turn is over. So do those of other connections, one behind the other: who reads
    several of them is woken once, and takes no time from the answers still to be made. No more than a little
    is held, and never beyond the turn: a stream's head does not wait.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        """All else is the transport's own."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send this, after what is held; to a transport that is closing, nothing."""
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
        """Close when all is sent."""
        self._send()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more will be sent."""
        return self._transport.is_closing()

    def _send(self) -> None:
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)
