"""Splits texts for a neural engine: sentences, cut at clauses if they are too long to speak at once."""

import re
from collections.abc import Iterator

from workers.text.split import sentences, split

_DIGIT_EXTRA = 6  # more characters: half a second
_WRAPPED = re.compile(
    r"(?<=[^\s.!?:;…])[ \t]*\n[ \t]*(?=[a-z])|(?<=[^\s.!?:;…])(?<=.{50})[ \t]*\n[ \t]*(?=[^\W_])"
)


def unwrapped(text: str) -> str:
    """`text` without the line breaks that an editor put inside sentences: no pause belongs there."""
    return _WRAPPED.sub(" ", text)


def in_pieces(
    text: str,
    language: str,
    *,
    characters_max: int,
    first_max: int,
    joined_max: int,
    first_joined_max: int = 0,
) -> Iterator[str]:
    """`text` in order; only white space between the pieces is lost.

    A piece is a sentence, or short ones joined up to `joined_max` characters, in the first piece up to
    `first_joined_max`. A first sentence longer than `first_max` begins with its first clauses. No piece is
    longer than `characters_max`. Lengths are `spoken_length`.
    """
    joined, is_first = "", True
    for sentence in sentences(text, language):
        most = first_joined_max if is_first else joined_max
        if joined.strip() and spoken_length(joined) + spoken_length(sentence.rstrip()) > most:
            yield joined.strip()
            joined, is_first = "", False
        most = first_max if is_first else characters_max
        if spoken_length(joined) + spoken_length(sentence.rstrip()) <= most:
            joined += sentence
            continue
        for piece in _cut(sentence, language, most, characters_max):
            yield piece
            is_first = False
    if joined.strip():
        yield joined.strip()


def spoken_length(text: str) -> int:
    """The number of characters of prose that take about as long to say: a digit counts as a word."""
    return len(text) + _DIGIT_EXTRA * sum(map(str.isdecimal, text))


def _cut(sentence: str, language: str, first_max: int, characters_max: int) -> Iterator[str]:
    """A sentence that is too long, cut at its clauses, words or letters."""
    first, *_ = split(sentence, language=language, fits=lambda part: spoken_length(part) <= first_max)
    yield first
    rest = sentence.strip()[len(first) :]
    yield from split(rest, language=language, fits=lambda part: spoken_length(part) <= characters_max)
