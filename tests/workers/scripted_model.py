"""A neural model for tests, in the real confined child: it does as each piece's text says."""

import os
import time
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from workers.engines.neural.model import Model, Piece, Unspeakable

SAMPLE = Piece(text="say 10", voice="v", language="en")
PART = 100


def load(folders: Mapping[str, str]) -> Model:
    if "broken" in folders:
        raise FileNotFoundError(folders["broken"])
    return ScriptedModel(forks="alone" not in folders)


class ScriptedModel:
    sample_rate_hz = 1000

    def __init__(self, *, forks: bool) -> None:
        self.forks = forks
        self._spoken = 0  # by this child, and the server's warm-up

    def speak(self, piece: Piece) -> Iterator[NDArray[np.float32]]:
        """`say N`: N samples in parts; then perhaps: die, tire (die where it has spoken before), raise, hang,
        or refuse CODE.
        """
        order, count, *after = piece.text.split()
        assert order == "say"
        rng = np.random.default_rng(int(count) + piece.seed)
        for start in range(0, int(count), PART):
            yield rng.uniform(-1, 1, min(PART, int(count) - start)).astype(np.float32)
        match after:
            case ["die"]:
                os._exit(1)
            case ["tire"] if self._spoken > 2:
                os._exit(1)
            case ["raise"]:
                raise IndexError
            case ["hang"]:
                time.sleep(600)
            case ["refuse", code]:
                raise Unspeakable(code)
            case _:
                self._spoken += 1
