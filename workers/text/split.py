"""Long text in pieces an engine can speak: whole sentences if they fit, else clauses, words, letters."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

Fits = Callable[[str], bool]
_CLAUSE = re.compile(r"(?<=[,;:)\]»”،؛।—–])\s+|(?<=[、，；：）」])|\n+")
_WORD = re.compile(r"\s+")
_ZERO_WIDTH_JOINER = "\u200d"


def split(text: str, *, language: str, fits: Fits) -> list[str]:
    """`text` in order, in as few pieces as `fits` allows; only white space between them is lost.

    No piece is empty. A piece that does not fit is a single letter (with its combining marks). `fits` is
    called with growing text, so it should be cheap, and what it refuses it must also refuse when more is
    added.
    """

    def in_sentences(part: str) -> Sequence[str]:
        return sentences(part, language)

    return list(_pieces(text, (in_sentences, _clauses, _words), fits))


def _pieces(text: str, cuts: Sequence[Callable[[str], Sequence[str]]], fits: Fits) -> Iterator[str]:
    """Greedy: as many parts of the coarsest cut as fit; a part that is too long is cut more finely."""
    text = text.strip()
    if not text:
        return
    if fits(text):
        yield text
        return
    if not cuts:
        yield from _hard(text, fits)
        return
    piece = ""
    for part in cuts[0](text):
        if piece and not fits((piece + part).strip()):
            yield from _pieces(piece, cuts[1:], fits)
            piece = ""
        piece += part
    yield from _pieces(piece, cuts[1:], fits)


def sentences(text: str, language: str) -> Sequence[str]:
    """The sentences of `text` with the space behind them; each has something to say, unless it is alone."""
    from sentencex import segment  # pyright: ignore[reportAttributeAccessIssue] (it is compiled)

    found: list[str] = []
    for sentence in segment(language.partition("-")[0].lower(), text):
        if found and not _says_something(sentence):  # "…", a line's end: it joins the sentence before it
            found[-1] += sentence
        else:
            found.append(sentence)
    return found


def _says_something(text: str) -> bool:
    return any(letter.isalnum() for letter in text)


def _clauses(text: str) -> Sequence[str]:
    return _cut_after(_CLAUSE, text)


def _words(text: str) -> Sequence[str]:
    return _cut_after(_WORD, text)


def _cut_after(boundary: re.Pattern[str], text: str) -> Sequence[str]:
    ends = [found.end() for found in boundary.finditer(text)]
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


def _hard(word: str, fits: Fits) -> Iterator[str]:
    while word:
        end = _longest(word, fits)
        yield word[:end]
        word = word[end:]


def _longest(word: str, fits: Fits) -> int:
    """Where to cut a word without spaces: as far as it fits, never between a letter and its marks."""
    most = 1  # doubled before it is halved: a hostile word may be the whole text
    while most < len(word) and fits(word[:most]):
        most = min(len(word), 2 * most)
    least = most // 2
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if fits(word[:middle]) else (least, middle - 1)
    ends = (end for end in range(least, 0, -1) if _may_end(word, end))
    return next(ends, None) or next(e for e in range(max(1, least), len(word) + 1) if _may_end(word, e))


def _may_end(word: str, end: int) -> bool:
    if end >= len(word):
        return True
    return not unicodedata.category(word[end]).startswith("M") and _ZERO_WIDTH_JOINER not in (
        word[end - 1],
        word[end],
    )
