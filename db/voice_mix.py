"""Parses a mix of voices written as a voice id, `af_heart(2)+af_bella(1)`, for API server and workers.

A part is a voice's id and its weight in parentheses, by default 1. Only the ratio of the weights matters.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

PARTS_MAX = 8
WEIGHT_MAX = 100
_PART = re.compile(r"\s*([^()+]*[^()+\s])\s*(?:\(\s*([0-9]{1,3}(?:\.[0-9]{1,3})?)\s*\)\s*)?")


class MixError(ValueError):
    """Not a valid mix; the message says why, for the caller."""


class Part(Struct, frozen=True):
    """One voice of a mix."""

    voice: str
    weight: float


def is_mix(text: str) -> bool:
    """Whether `text` is written as a mix. No voice's own id contains these characters."""
    return "+" in text or "(" in text


def parse(text: str) -> tuple[Part, ...]:
    """The parts in the given order; a single voice is a mix of one. Raises MixError."""
    parts = tuple(map(_part, text.split("+")))
    if len(parts) > PARTS_MAX:
        raise MixError(f"A mix has at most {PARTS_MAX} voices, not {len(parts)}.")
    if len({part.voice.casefold() for part in parts}) < len(parts):
        raise MixError("A mix has each voice once.")
    return parts


def canonical(parts: Sequence[Part]) -> str:
    """The canonical form: sorted by voice, each with its weight; a single voice by its id."""
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
