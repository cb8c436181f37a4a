"""English text in the form that hibari's reader expects: rewrites what it would drop or misread."""

import re
import unicodedata

from db.writing_scripts import script_of

_WORD_MAX, _WORD_PART = 24, 20  # its net for unknown words reads that many letters of one
_LONG_WORD = re.compile(rf"[^\W\d_]{{{_WORD_MAX + 1},}}")
_LINK = re.compile(r"\](?=\()")  # it takes [text](/phonemes/) for a command
_FOREIGN_MAX = 0.2  # of a text's letters
_READ_SCRIPTS = ("Latn", "Grek", "Cyrl")  # approximately: names, symbols, a quoted word
_NO_NAME = frozenset({"Mn", "Me", "Cf", "Co", "Cn", "Cs", "Sk"})


def is_english_script(text: str) -> bool:
    """Whether at most a fifth of its letters are of scripts that English is not written in."""
    letters = [letter for letter in unicodedata.normalize("NFKC", text) if letter.isalpha()]
    foreign = sum(script_of(letter) != "Latn" for letter in letters)
    return foreign <= _FOREIGN_MAX * len(letters)


def readable_english(text: str) -> str:
    """`text` without markup that is a command to the reader, with words no longer than it reads.

    Full-width letters and ligatures become plain ones. Letters of scripts it cannot read are left out. A text
    of symbols only is replaced by their names.
    """
    text = "".join(map(_plain, text))
    if not any(map(str.isalnum, text)):
        return " ".join(filter(None, map(_name, text)))
    return _LONG_WORD.sub(_parted, _LINK.sub("] ", text))


def _plain(character: str) -> str:
    if character.isascii():
        return character
    if not character.isalpha():
        return character
    plain = unicodedata.normalize("NFKC", character)
    return "".join(letter if script_of(letter) in _READ_SCRIPTS else " " for letter in plain)


def _name(symbol: str) -> str:
    """The name of an emoji or sign; empty for punctuation and marks."""
    category = unicodedata.category(symbol)
    if category[0] != "S" or category in _NO_NAME:
        return ""
    return unicodedata.name(symbol, "").lower() + ","


def _parted(word: re.Match[str]) -> str:
    letters = word[0]
    return " ".join(letters[at : at + _WORD_PART] for at in range(0, len(letters), _WORD_PART))
