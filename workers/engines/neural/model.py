"""What the confined server of the neural engines asks of a family's model (`hibari_model.py`, …).

A family's module has `load(folders) -> Model`, and `SAMPLE`, a short `Piece` by which the server warms it up
and measures it. It runs in the confined server alone, never in the worker.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Piece(Struct, frozen=True, kw_only=True):
    """A part of a text, at most about 300 characters, to be spoken without a pause for thought."""

    text: str
    voice: str  # a voice id of the engine's own capabilities
    language: str  # BCP-47: one of that voice's
    speed: float = 1.0
    seed: int = 0  # the same piece with the same seed gives the same audio
    phonemes: str = ""  # where the worker has made them already: the text is not read then


class Unspeakable(Exception):
    """The model will never speak this piece. `code` is stable, for the caller."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Model(Protocol):
    """One loaded model. Used by one thread; after `load` it opens no file and starts no thread."""

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def forks(self) -> bool:
        """Whether forked children can use it: not where it is on a GPU, whose context does not live on in
        them. The server then speaks itself, confined like a child, for one stream after the other.
        """
        ...

    def speak(self, piece: Piece) -> "Iterator[NDArray[np.float32]]":
        """The piece's audio, mono, -1 to 1, in parts as they are made. Raises `Unspeakable`."""
        ...


class Hello(Struct, frozen=True, kw_only=True):
    """What the server says when it is ready: its model's rate, and what the sample took."""

    sample_rate_hz: int
    cpu_s: float  # of processor time …
    audio_s: float  # … for so much audio
