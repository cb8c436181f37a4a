"""The storm's engine, `CODEVOICE_ENGINE=ops.storm.engine:quick`: speaks at once, or as the text says.

The text's last word: `slow` takes a second or two, `break` is interrupted sometimes, `refuse` is refused.
"""

import random
import threading
from collections.abc import Iterator, Sequence

from db.types import Capabilities
from ops.bench.harness.paced_engine import tone_voice
from workers.engines.protocol import Interrupted, Refused, Synthesis, Utterance

NAME = "ops.storm.engine:quick"
VOICE = "storm"
ENGINE = "storm"
_RATE_HZ = 8000
_SOUND = b"\x10\x00" * (_RATE_HZ // 50)  # 20 ms


def quick() -> "Quick":
    """The engine."""
    return Quick()


class Quick:
    """Speaks any text as 20 ms of the same sound."""

    slots = 8
    mixed_lanes = True
    batched = False
    capabilities = Capabilities(
        engine=ENGINE,
        kind="speech",
        voices=(tone_voice(VOICE, "for storms"),),
        sample_rate_hz=_RATE_HZ,
        formats=("wav",),
        characters_max=1000,
        cost_us_per_character=10,
    )

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Synthesis]:
        """One `Synthesis` for each."""
        return [_Sound(utterance.text.rpartition(" ")[2]) for utterance in batch]

    def close(self) -> None:
        """Nothing is open."""


class _Sound:
    def __init__(self, order: str) -> None:
        self._order = order
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        if self._order == "refuse":
            raise Refused("storm_refused")
        if self._order == "break" and random.random() < 0.5:
            raise Interrupted("as asked")
        yield _SOUND
        if self._order == "slow" and self._closed.wait(random.uniform(0.5, 2.5)):
            raise Interrupted("closed")

    def close(self) -> None:
        """Stop."""
        self._closed.set()
