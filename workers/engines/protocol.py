"""The engine protocol: what an engine that speaks must implement, and the errors it may raise."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable
from uuid import UUID

from msgspec import Struct

from db.types import Capabilities

NOBODY = UUID(int=0)  # owner of utterances that no account has queued, such as a warm-up; they share one turn


class Utterance(Struct, frozen=True, kw_only=True):
    """One item of a batch: what is needed to speak one job."""

    job_id: UUID
    text: str
    voice: str  # a voice id from the engine's own capabilities
    language: str  # one of that voice's languages
    speed: float = 1.0
    pitch: float = 0.0
    live: bool = False  # has a listener: an early first sound matters more than whole sentences
    owner: UUID = NOBODY  # the account: engines that take turns share their time between accounts


class Refused(Exception):
    """The engine can never speak this; a retry is useless. `code` is stable and goes to the caller."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Interrupted(Exception):
    """The engine stopped early (crash, hang, device lost); another attempt may succeed."""


class DeviceLost(Interrupted):
    """The device is no longer usable: return every job and end the process.

    Raised for every utterance from then on.
    """


class Synthesis(Protocol):
    """One utterance being spoken. Iterating yields PCM as it is made: signed 16-bit little-endian mono at the
    engine's rate. The end of the iteration means complete. Raises `Refused` or `Interrupted`.
    """

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None:
        """Stop at once, from any thread; harmless when over. A running iteration raises `Interrupted`."""
        ...


@runtime_checkable
class Measured(Protocol):
    """A synthesis that knows what it has cost so far."""

    @property
    def engine_s(self) -> float:
        """Seconds that the engine has worked for it, excluding waits for other utterances' turns."""
        ...


class Engine(Protocol):
    """Speaks batches. One instance per process; `begin` is called by one thread at a time."""

    @property
    def capabilities(self) -> Capabilities:
        """What it speaks: voices, languages, formats, limits."""
        ...

    @property
    def slots(self) -> int:
        """Utterances it speaks at the same time."""
        ...

    @property
    def mixed_lanes(self) -> bool:
        """Whether utterances of different voices may be spoken at the same time."""
        ...

    @property
    def batched(self) -> bool:
        """Whether a batch, ideally of one voice, costs less than its utterances one by one."""
        ...

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Synthesis]:
        """Start a batch; one `Synthesis` per utterance, in order. Others may run already."""
        ...

    def close(self) -> None:
        """Stop everything and free the device; idempotent."""
        ...


@runtime_checkable
class TakesTurns(Protocol):
    """An engine that alternates between accounts: it can begin more utterances than it has slots."""

    @property
    def extra_slots(self) -> int:
        """How many more."""
        ...


@runtime_checkable
class ReportsMemory(Protocol):
    """An engine that reports how much device memory it holds."""

    def device_bytes(self) -> int:
        """Bytes of its device's memory."""
        ...
