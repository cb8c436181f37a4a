"""The common part of the neural engines: texts in pieces, spoken by confined children from one fair queue.

A family of voices adds two parts: a `Family`, in the worker; a module with `load` in the child (model.py).
"""

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Protocol

from msgspec.structs import replace

from db.settings import SettingsError
from db.types import Capabilities
from workers.engines.neural.children import Program, Servers, Speaker
from workers.engines.neural.model import Hello, Piece
from workers.engines.neural.queue import SHORT_CHARACTERS_MAX, Queue
from workers.engines.protocol import Synthesis, Utterance

_JOIN_S = 2.0
_LIVE_SHARE = 0.9  # of the children's time, reserved for live utterances


class Family(Protocol):
    """One family of voices, as the worker uses it."""

    @property
    def capabilities(self) -> Capabilities:
        """The family's voices, languages and limits."""
        ...

    @property
    def program(self) -> Program:
        """What its server runs."""
        ...

    @property
    def slots(self) -> int:
        """Maximum number of utterances under way."""
        ...

    @property
    def children(self) -> int:
        """Pieces spoken at the same time."""
        ...

    @property
    def files_at_once(self) -> int:
        """Children that utterances without a listener may use: fewer than all if pieces take long."""
        ...

    @property
    def idle_s(self) -> float | None:
        """After this long without work the model is unloaded; None: never."""
        ...

    def pieces(self, utterance: Utterance) -> Iterator[Piece]:
        """The text in pieces, each made when its turn comes. Raises Refused, Interrupted. The same text gives
        the same pieces: a piece's audio depends on nothing else.
        """
        ...


def live_max(family: Family, hello: Hello) -> int:
    """How many live utterances `family` can speak in real time, judged by its sample: at least one."""
    spare = _LIVE_SHARE * family.children * hello.audio_s
    return max(1, int(min(family.slots, spare / max(hello.cpu_s, 1e-6))))


class NeuralEngine:
    """Speaks utterances piece by piece. The death of a child or server affects no other utterance."""

    mixed_lanes = True  # a child speaks any voice of the family
    batched = False

    def __init__(self, family: Family, *, release: Callable[[], None] = lambda: None) -> None:
        """A family that unloads when idle is loaded at its first piece, others now. `release`: called when
        the family is unloaded, to free what else it holds.

        Raises OSError if the server does not start, SettingsError, and what `program.folders` raises.
        """
        if find_spec("onnxruntime") is None:
            raise SettingsError(f"the engine {family.capabilities.engine} needs codevoice[voice]")
        self._family = family
        self._release = release
        self._servers = Servers(family.program)
        self.capabilities = family.capabilities
        if family.idle_s is None:
            hello = self._servers.start()
            self.capabilities = replace(family.capabilities, live_max=live_max(family, hello))
        self._queue = Queue(family.capabilities.sample_rate_hz, files_at_once=family.files_at_once)
        self._speakers = [
            Speaker(self._queue, self._servers, idle_s=family.idle_s, idle=self._unload)
            for _ in range(family.children)
        ]

    @property
    def slots(self) -> int:
        """Jobs in progress at once; their pieces take turns."""
        return self._family.slots

    @property
    def extra_slots(self) -> int:
        """Jobs beyond the slots, which take turns with them."""
        return self._family.slots

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Synthesis]:
        """See `Engine.begin`."""
        return [self._begin(each) for each in batch]

    def close(self) -> None:
        """See `Engine.close`."""
        self._queue.close()
        self._servers.close()
        for speaker in self._speakers:
            speaker.join(_JOIN_S)
        self._release()

    def _begin(self, utterance: Utterance) -> Synthesis:
        return self._queue.add(
            self._family.pieces(utterance),
            live=utterance.live,
            owner=utterance.owner,
            is_short=len(utterance.text) <= SHORT_CHARACTERS_MAX,
        )

    def _unload(self) -> None:
        if not any(speaker.is_working for speaker in self._speakers):
            self._servers.stop()
            self._release()
