"""A text being spoken: its pieces in order, and their sound, from the loop's threads to one reader."""

import threading
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass


class Broken(Exception):
    """Speaking was interrupted; another attempt may succeed."""


class Lost(Broken):
    """The device failed: nothing can be spoken in this process any more."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one row of the decoder speaks. `cap`: the maximum number of audio tokens."""

    text: tuple[int, ...]
    cap: int
    seed: int


class Script:
    """Iterate it for PCM (signed 16-bit little-endian mono, 24 kHz); the end means complete.

    `live`: parts of a piece are returned as they are made, so that a piece once begun cannot be retried.
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        voice: str,
        *,
        speed: float = 1.0,
        live: bool = False,
        owner: Hashable = None,
    ) -> None:
        self.owner = owner  # the account, for sharing the rows
        self.pieces = tuple(pieces)
        self.voice = voice
        self.speed = speed
        self.live = live
        self.waiting = deque((piece, 1) for piece in range(len(self.pieces)))  # the loop's: (piece, try)
        self.running = 0  # the loop's: rows
        self._sounds = [list[bytes]() for _ in self.pieces]
        self._ended = [False for _ in self.pieces]
        self._current = 0  # the piece whose sound comes next
        self._ahead_bytes = 0
        self._error: Broken | None = None
        self._change = threading.Condition()

    def __iter__(self) -> Iterator[bytes]:
        while pcm := self._next():
            yield pcm

    def close(self) -> None:
        """Stop; harmless when over. The reader gets `Broken`."""
        self.fail(Broken("closed"))

    @property
    def dead(self) -> bool:
        """Whether the reader has closed it."""
        return self._error is not None

    @property
    def ahead_bytes(self) -> int:
        """Bytes of sound made and not yet read."""
        return self._ahead_bytes

    def give(self, piece: int, pcm: bytes, *, last: bool) -> None:
        """Add to the sound of a piece."""
        with self._change:
            self._sounds[piece].append(pcm)
            self._ended[piece] = last
            self._ahead_bytes += len(pcm)
            self._change.notify_all()

    def fail(self, error: Broken) -> None:
        """End it; the first error counts."""
        with self._change:
            self._error = self._error or error
            self._change.notify_all()

    def _next(self) -> bytes:
        with self._change:
            while True:
                if self._error:
                    raise self._error
                if self._current == len(self.pieces):
                    return b""
                if self._sounds[self._current]:
                    pcm = self._sounds[self._current].pop(0)
                    self._ahead_bytes -= len(pcm)
                    return pcm
                if self._ended[self._current]:
                    self._current += 1
                else:
                    self._change.wait()
