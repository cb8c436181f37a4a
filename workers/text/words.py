"""Words no longer than an engine can hold, cut where a letter with its marks begins."""

import re
import unicodedata
from collections.abc import Iterator

from workers.text.loads import QUIET, Loads, loads

_LONG = re.compile(r"\S{5,}")
_PLAIN = re.compile(r"[\x21-\x7e]{1,30}")
_KINDS = re.compile(  # digits between letters can belong to the word: tones
    r"(?:[^\W\d_]|[^\x00-\x7f\s\w\u2000-\u2bff\u3000-\u3004\u3008-\u3040]|['’\u200c\u200d]|(?<=[^\W\d_])\d(?=[^\W\d_]))+"
    r"|\d+|.",
    re.DOTALL,
)
_LEADING_VOWELS = frozenset("เแโใไ")  # written before the consonant they follow
_FOLLOWING = frozenset(
    "ะาำๅๆฯゃゅょっャュョッー\u200c\u200d\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
)
_FULL, _PIECE = 1.01, 0.5  # a word at its limit may have some letters of two bytes
_SYMBOLS_MAX = 10
_CLUSTER_MAX = 0.9  # a letter with more marks than that is cut anyway


def break_words(text: str, language: str) -> str:
    """Insert spaces in words that are too long for an engine of this language, every half of its limit."""
    table = loads(language)
    return _LONG.sub(lambda found: _broken(found[0], table), text)


def _broken(token: str, table: Loads) -> str:
    if _PLAIN.fullmatch(token):
        return token
    return "".join(_cut(run, table) for run in _runs(token))


def _runs(token: str) -> Iterator[str]:
    """Letters with what belongs to them, digits, and everything else, each run as long as possible."""
    other = ""
    for found in _KINDS.finditer(token):
        run = found[0]
        if len(run) == 1 and not run.isalnum():
            other += run
            continue
        if other:
            yield other
        other = ""
        yield run
    if other:
        yield other


def _cut(run: str, table: Loads) -> str:
    if run.isascii() and not run.isalnum() and sum(sign not in QUIET for sign in run) <= _SYMBOLS_MAX:
        return run  # a table's separator: bytes that are no word
    # Repeated characters are in groups by now, or a separator line.
    if run.isdigit() or len(set(run)) == 1 or sum(table[character].word for character in run) <= _FULL:
        return run
    pieces, start, load = list[str](), 0, 0.0
    for at, character in enumerate(run):
        if load > _PIECE and (may_cut(run, at, start) or load > _CLUSTER_MAX):
            pieces.append(run[start:at])
            start, load = at, 0.0
        load += table[character].word
    return " ".join([*pieces, run[start:]])


def may_cut(text: str, at: int, start: int) -> bool:
    """Whether `text[at]` begins something that a reader sees as one sign; `text[start]` is known to."""
    before, here = text[at - 1], text[at]
    if before == "\u200d" or before in _LEADING_VOWELS or here in _FOLLOWING:
        return False
    if unicodedata.category(here)[0] == "M" or unicodedata.combining(before) == 9:  # a virama joins
        return False
    return not _parts_a_flag(text, at, start)


def _parts_a_flag(text: str, at: int, start: int) -> bool:
    """Flags are pairs of regional letters. Searches back no further than the piece: the time is linear."""
    letters = 0
    while letters < at - start and "\U0001f1e6" <= text[at - 1 - letters] <= "\U0001f1ff":
        letters += 1
    return letters % 2 == 1 and "\U0001f1e6" <= text[at] <= "\U0001f1ff"
