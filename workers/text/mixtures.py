"""Words that change script repeatedly: espeak mishandles them, and can crash."""

import re
from itertools import pairwise

from db.writing_scripts import LATIN_ONLY, script_of, scripts_of
from workers.text.characters import SILENT

_WORD = re.compile(r"[^\W\d_]{4,}")
_UNNAMED = re.compile(  # letters that may be silent, and Latin ones directly after them
    rf"([^\x00-\u024f\W\d_])[{SILENT}]*(?=[A-Za-z\u00c0-\u024f\u1e00-\u1eff])"
)
_CHANGES_MAX = 2  # "Ωmega" and the like stay as they are


def part_scripts(text: str, language: str) -> str:
    """Spaces between the scripts of a word that changes more than twice, to or from one not the voice's.

    For readers of other scripts also before Latin letters that follow those of a script no voice names:
    espeak treats the Latin ones as if they followed a hyphen, and searches the vowels of what it has left
    out.
    """
    if text.isascii():
        return text
    native = scripts_of(language)
    if native != LATIN_ONLY:
        text = _UNNAMED.sub(lambda found: found[0] if script_of(found[1]) else f"{found[0]} ", text)
    return _WORD.sub(lambda found: _parted(found[0], native), text)


def _parted(word: str, native: frozenset[str]) -> str:
    if word.isascii():
        return word
    scripts = [script_of(letter) for letter in word]
    changes = [
        at
        for at in range(1, len(word))
        if scripts[at] != scripts[at - 1] and not set(scripts[at - 1 : at + 1]) <= native
    ]
    if len(changes) <= _CHANGES_MAX:
        return word
    starts = [0, *changes, len(word)]
    return " ".join(word[start:end] for start, end in pairwise(starts))
