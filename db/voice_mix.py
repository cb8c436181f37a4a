"""A mix of voices as a voice id: `af_heart(2)+af_bella(1)`. API and workers read it the same way.

A part is a voice's id and its weight in parentheses, 1 where there is none. Only how much each weighs against
the others counts.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

PARTS_MAX = 8
WEIGHT_MAX = 100
_PART = re.compile(r"\s*([^()+]*[^()+\s])\s*(?:\(\s*([0-9]{1,3}(?:\.[0-9]{1,3})?)\s*\)\s*)?")


class MixError(ValueError):
    """Not a mix; the message says why, for whoever wrote it."""


class Part(Struct, frozen=True):
    """One voice of a mix."""

    voice: str
    weight: float


def is_mix(text: str) -> bool:
    """Whether `text` is written like a mix. No voice has such signs in its own id."""
    return "+" in text or "(" in text


def parse(text: str) -> tuple[Part, ...]:
    """The parts as they are written; a voice alone is a mix of one. Raises MixError."""
    parts = tuple(map(_part, text.split("+")))
    if len(parts) > PARTS_MAX:
        raise MixError(f"A mix has at most {PARTS_MAX} voices, not {len(parts)}.")
    if len({part.voice.casefold() for part in parts}) < len(parts):
        raise MixError("A mix has each voice once.")
    return parts


def canonical(parts: Sequence[Part]) -> str:
    """The one way to write it: sorted by voice, each with its weight; a voice alone by its id."""
    if len(parts) == 1:
        return parts[0].voice
    return "+".join(f"{part.voice}({part.weight:g})" for part in sorted(parts, key=lambda part: part.voice))


def _part(text: str) -> Part:
    found = _PART.fullmatch(text)
    if found is None:
        raise MixError("A mix is written af_heart(2)+af_bella(1): voices, each with a weight in parentheses.")
    weight = float(found[2] or 1)
    if not 0 < weight <= WEIGHT_MAX:
        raise MixError(f"The weights of a mix are above 0 and at most {WEIGHT_MAX}.")
    return Part(found[1], weight)
