"""The requests of the storm's clients and their outcomes, in order: an append-only JSON lines file per run.

Every operation is an `invoke`, then `ok`, `fail` (it did not happen) or `unknown` (it may have); one that a
killed run left without an end is unknown as well. A read is one line; `since` is the number of the line that
came next when it was sent.
"""

from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import msgspec
from msgspec import Struct

Kind = Literal["invoke", "ok", "fail", "unknown", "saw", "fault", "late"]
_NAME = "history-{life:04d}.jsonl"


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. `n` counts over all runs; `of` is the `n` of the invoke that this ends."""

    n: int
    kind: Kind
    op: str  # submit, cancel, grant, refund, status, balance, or a fault's name
    of: int = 0
    since: int = 0
    owner: str = ""
    text: str = ""  # of a submit: unique to the request; of a grant: its reason
    key: str = ""
    job: str = ""
    http: int = 0
    said: str = ""  # the message, the status, the code
    replayed: bool = False
    amount: int = 0  # credits
    ms: int = 0  # of a response that came late
    balance: tuple[int, int, int] | None = None  # free, paid, held: credits


class History:
    """The file of one run of the storm."""

    def __init__(self, folder: Path) -> None:
        earlier = list(_files(folder))
        self.next = max((event.n for path in earlier[-1:] for event in _lines(path)), default=0) + 1
        # Unbuffered: an invoke has reached the kernel, and survives us, before the request is sent.
        self._file = (folder / _NAME.format(life=len(earlier) + 1)).open("ab", buffering=0)
        self._lock = Lock()
        self._encoder = msgspec.json.Encoder()

    def add(self, kind: Kind, op: str, **more: Any) -> int:
        """Append a line; returns its number. From any thread."""
        with self._lock:
            n, self.next = self.next, self.next + 1
            self._file.write(self._encoder.encode(Event(n=n, kind=kind, op=op, **more)) + b"\n")
        return n

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(folder: Path) -> Iterator[Event]:
    """Every event of every run, in order."""
    for path in _files(folder):
        yield from _lines(path)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("history-*.jsonl"))


def _lines(path: Path) -> Iterator[Event]:
    decoder = msgspec.json.Decoder(Event)
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):  # a truncated last line was never acted upon
                yield decoder.decode(line)
