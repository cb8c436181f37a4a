"""The interface between the confined server of the neural engines and a family's model (`hibari_model.py`,
…).

A family's module has `load(folders) -> Model`, and `SAMPLE`, a short `Piece` with which the server warms it
up and measures it. It runs in the confined server only, never in the worker.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Piece(Struct, frozen=True, kw_only=True):
    """A part of a text, at most about 300 characters, to be spoken without a longer pause."""

    text: str
    voice: str  # a voice id from the engine's own capabilities
    language: str  # BCP-47: one of that voice's languages
    speed: float = 1.0
    seed: int = 0  # the same piece with the same seed gives the same audio
    phonemes: str = ""  # if the worker has made them already: the text is not read then


class Unspeakable(Exception):
    """The model can never speak this piece. `code` is stable and goes to the caller."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Model(Protocol):
    """One loaded model. Used by one thread; after `load` it opens no file and starts no thread."""

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def forks(self) -> bool:
        """Whether forked children can use it: not on a GPU, whose context does not survive a fork. The server
        then speaks itself, confined like a child, for one stream after the other.
        """
        ...

    def speak(self, piece: Piece) -> "Iterator[NDArray[np.float32]]":
        """The piece's audio, mono, -1 to 1, in parts as they are made. Raises `Unspeakable`."""
        ...


class Hello(Struct, frozen=True, kw_only=True):
    """What the server sends when it is ready: its model's sample rate, and what the sample took."""

    sample_rate_hz: int
    cpu_s: float  # of processor time …
    audio_s: float  # … for so much audio
