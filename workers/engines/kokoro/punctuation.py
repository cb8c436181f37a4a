"""Punctuation for Kokoro, which takes a clause's intonation from the mark behind it. Pure."""

import re

from msgspec import Struct

_CLAUSE_END = re.compile(r"(\.{2,}|[,;:.!?…—–।])[,;:.!?…—–।]*[\"»”’')\]]*(?=\s|$)")
_MARKS = {"–": "—", "।": "."}
_TITLES = frozenset((
    "av", "dott", "dr", "dra", "m", "mlle", "mme", "mr", "mrs", "prof", "sig", "sr", "sra", "srta",
    "st", "ste",
))  # fmt: skip
_LAST_WORD = re.compile(r"[^\W\d_]+$")


class Clause(Struct, frozen=True):
    """Words, and the mark that ends them; "" if only their text ends."""

    text: str
    mark: str


def clauses(text: str) -> list[Clause]:
    """`text` cut behind its marks, which stay in the words too. Marks within a number or word do not cut."""
    found: list[Clause] = []
    start = 0
    for end in _CLAUSE_END.finditer(text):
        if end[1] == "." and _is_title(text[start : end.start()]):
            continue
        mark = "…" if len(end[1]) > 1 else _MARKS.get(end[1], end[1])
        found.append(Clause(text[start : end.end()].strip(), mark))
        start = end.end()
    if text[start:].strip():
        found.append(Clause(text[start:].strip(), ""))
    return found


def _is_title(text: str) -> bool:
    word = _LAST_WORD.search(text)
    return word is not None and word[0].lower() in _TITLES
