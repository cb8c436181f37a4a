"""One case per number: the same number gives the same text, voice and speed on any machine."""

from collections.abc import Sequence
from math import exp, log
from random import Random
from typing import Any

from msgspec import Struct

from . import shapes
from .scripts import FOREIGN, LETTERS, SPOKEN_IN

LENGTH_MAX = 5_000
_LONG = 200  # characters: most of what is longer is spoken by the quickest voice there is
_AS_THEY_COME = 100  # of which one in this many is not
_QUICK = {"woman": True, "speed": 2.5, "pitch": 20.0}  # beyond 2.5 espeak makes more, and shortens it


class Case(Struct, frozen=True, kw_only=True):
    """A text and how it is to be spoken."""

    number: int
    shape: str
    script: str
    language: str
    woman: bool
    speed: float
    pitch: float
    text: str


def case(number: int, languages: Sequence[str], longest: int = LENGTH_MAX) -> Case:
    """The case of this number, in one of these languages; lengths are spread log-uniformly from 1 on."""
    random = Random(number)
    names = list(shapes.SHAPES)
    shape, script = names[number % len(names)], random.choice(list(LETTERS))
    length = round(exp(random.uniform(0, log(longest))))
    language = _language(script, languages, random)
    voice: dict[str, Any] = {
        "woman": random.random() < 0.5,
        "speed": random.choice((0.5, 1.0, 1.0, 1.5, 2.0, 4.0)),
        "pitch": random.choice((0.0, 0.0, -20.0, 7.5, 20.0)),
    }
    if length > _LONG and number % _AS_THEY_COME:
        voice = _QUICK
    text = shapes.text(shape, script, length, random)
    return Case(number=number, shape=shape, script=script, language=language, text=text, **voice)


def _language(script: str, languages: Sequence[str], random: Random) -> str:
    """Mostly one that is written so, else one of the large ones or any at all."""
    native, chance = SPOKEN_IN.get(script, ()), random.random()
    if native and chance < 0.5:
        return random.choice(native)
    return random.choice(FOREIGN if chance < 0.8 else languages)
