"""How much of an engine's limits for one word and one clause a character uses.

espeak holds 160 bytes and 200 phonemes of a word; 800 bytes, 300 words and 1,000 phonemes of a clause. It
drops what is beyond, and does not check some of these limits. A letter it does not know takes up to 60
phonemes: "letter one two d five".
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from db.writing_scripts import LATIN_ONLY, script_of, scripts_of
from workers.text.characters import SILENT

CLAUSE_WORDS_MAX = 250
_CLAUSE_BYTES_MAX = 700
_CLAUSE_S_MAX = 40
_WORD_BYTES_MAX = 140
_ALPHABETS = {"Latn", "Grek", "Cyrl", "Armn", "Hebr", "Arab", "Geor"}
_UNSPACED = {"Thai", "Mymr", "Kana"}
_SEEN_S = {  # the slowest reading of one letter by a voice of another language
    "Latn": 0.2, "Grek": 0.4, "Cyrl": 0.85, "Armn": 0.8, "Geor": 0.7, "Hebr": 1.1, "Arab": 0.85, "Deva": 0.3,
    "Beng": 0.3, "Taml": 0.3, "Sinh": 0.3, "Telu": 0.9, "Knda": 0.9, "Mlym": 0.9, "Gujr": 0.9, "Guru": 0.9,
    "Orya": 0.9, "Thai": 2.0, "Hang": 0.3, "Hani": 1.2, "Kana": 1.3,
}  # fmt: skip
_CODED_S = 3.1  # of a letter that is read as the digits of its code
_SILENT = re.compile(f"[{SILENT}]")
_TONED = re.compile("[\u01a0\u01a1\u01af\u01b0\u1ea0-\u1ef9]")  # Vietnamese; others spell out the mark
_MARKED = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")  # as readers of other scripts do for all of these
_MARKED_S = 1.0
QUIET = frozenset(" \t\r\n-_.,;:?!¿¡'\"()[]{}<>«»…–—‘’“”")
NEVER_SPOKEN = QUIET - set("<>")  # some voices name these where they stand alone


class Load(NamedTuple):
    """Fractions of the limits, 1.0 being a full one."""

    word: float
    clause: float


class Loads(dict[str, Load]):
    """The load of each character for a voice of one language, computed once."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self._native = scripts_of(language)
        self._spelled = _MARKED if self._native != LATIN_ONLY else None if _is_toned(language) else _TONED

    def __missing__(self, character: str) -> Load:
        size = len(character.encode())
        most, seconds = self._most_and_seconds(character)
        load = Load(
            max(1 / most, size / _WORD_BYTES_MAX), max(seconds / _CLAUSE_S_MAX, size / _CLAUSE_BYTES_MAX)
        )
        self[character] = load
        return load

    def _most_and_seconds(self, character: str) -> tuple[int, float]:
        """How many fit into one word, and the maximum time that each is spoken."""
        if character in QUIET or _SILENT.match(character):
            return 400, 0.05
        if character.isdigit():
            return 60, 0.6
        script = script_of(character)
        if self._spelled and self._spelled.match(character):
            return 24, _MARKED_S
        if character.isalpha() or unicodedata.category(character)[0] == "M":
            return self._letter(script)
        return (16, 0.6) if character.isascii() else (10, 0.8)

    def _letter(self, script: str) -> tuple[int, float]:
        if script == "Hani":  # each is a word of its own
            return 400, 0.25 if script in self._native else _SEEN_S[script]
        if script in self._native:
            return _native(script)
        if script in _SEEN_S:
            return 24, _SEEN_S[script]
        return 7, _CODED_S


def _is_toned(language: str) -> bool:
    return language.partition("-")[0] == "vi"


def _native(script: str) -> tuple[int, float]:
    if script in _ALPHABETS:
        return 80, 0.11
    return (30, 0.22) if script in _UNSPACED else (40, 0.25)


@lru_cache(maxsize=256)
def loads(language: str) -> Loads:
    """The table for a language, filled as it is used."""
    return Loads(language)
