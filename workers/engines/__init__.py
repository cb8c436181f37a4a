"""What the machine room asks of an engine, and the engines there are."""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Protocol, runtime_checkable
from uuid import UUID

from msgspec import Struct

from db.settings import SettingsError
from db.types import Capabilities

NOBODY = UUID(int=0)  # whose utterances share one turn: what nobody has queued, as a warm-up


class Utterance(Struct, frozen=True, kw_only=True):
    """One row of a batch: what is needed to speak one job."""

    job_id: UUID
    text: str
    voice: str  # a voice id of the engine's own capabilities
    language: str  # one of that voice's
    speed: float = 1.0
    pitch: float = 0.0
    live: bool = False  # somebody listens: the first sounds early count for more than whole sentences
    owner: UUID = NOBODY  # the account: engines that take turns share their time between accounts


class Refused(Exception):
    """The engine will never speak this; trying again is useless. `code` is stable, for the caller."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Interrupted(Exception):
    """The engine broke off (crash, hang, device lost); another attempt may succeed."""


class DeviceLost(Interrupted):
    """The device is no longer usable: hand everything back and end the process.

    Raised for every utterance from then on.
    """


class Synthesis(Protocol):
    """One utterance being spoken. Iterating gives PCM: signed 16-bit little-endian mono, at the engine's
    rate, as it is made; the end of the iteration means complete. Raises `Refused` or `Interrupted`.
    """

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None:
        """Stop, from any thread, at once; harmless when over. An iteration under way raises `Interrupted`."""
        ...


@runtime_checkable
class Measured(Protocol):
    """Speech that knows what it has cost so far."""

    @property
    def engine_s(self) -> float:
        """Seconds that the engine has worked for it, waits for others' turns apart."""
        ...


class Engine(Protocol):
    """Speaks batches. One instance a process; `begin` is called by one thread at a time."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def slots(self) -> int:
        """Utterances it speaks at once."""
        ...

    @property
    def mixed_lanes(self) -> bool:
        """Whether utterances of different voices may be spoken at once."""
        ...

    @property
    def batched(self) -> bool:
        """Whether utterances begun together, best of one voice, cost less than one by one."""
        ...

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Synthesis]:
        """Start a batch; one `Speech` for each utterance, in order. Rows may join while others run."""
        ...

    def close(self) -> None:
        """Stop everything and free the device; idempotent."""
        ...


@runtime_checkable
class TakesTurns(Protocol):
    """An engine that speaks in turns between accounts: it can begin more utterances than it has slots."""

    @property
    def extra_slots(self) -> int:
        """How many more."""
        ...


@runtime_checkable
class TellsMemory(Protocol):
    """An engine that knows what it keeps of its device's memory."""

    def device_bytes(self) -> int: ...


CPU_ONLY = frozenset({"espeak", "hibari", "pocketsphinx"})  # engines that no GPU makes quicker
LOADED_LATER = frozenset({"kokoro"})  # engines that load their model at first use: not warmed up


def speaks(name: str) -> bool:
    """Whether an engine that speaks has this name."""
    return name in _LOADERS or ":" in name


def load(name: str) -> Engine:
    """Build the named engine, or that of `module:function`; its libraries are imported only here.

    Raises SettingsError: no such engine, or what it needs is missing.
    """
    module, _, function = name.partition(":")
    if function:
        return getattr(import_module(module), function)()
    if name not in _LOADERS:
        raise SettingsError(f"CODEVOICE_ENGINE: no engine {name}; there are {', '.join(sorted(_LOADERS))}")
    return _LOADERS[name]()


def _espeak() -> Engine:
    from workers.engines.espeak.engine import EspeakEngine

    return EspeakEngine()


def _hibari() -> Engine:
    from workers.engines.hibari.engine import from_environment

    return from_environment()


def _kokoro() -> Engine:
    from workers.engines.kokoro.engine import from_environment

    return from_environment()


def _xtts() -> Engine:
    from workers.engines.xtts.engine import from_environment

    return from_environment()


_LOADERS: dict[str, Callable[[], Engine]] = {
    "espeak": _espeak,
    "hibari": _hibari,
    "kokoro": _kokoro,
    "xtts": _xtts,
}
