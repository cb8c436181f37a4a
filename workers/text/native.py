"""Whether a text is written so that a voice of a language can read it."""

from db.writing_scripts import is_native

_FOREIGN_MAX = 0.2  # of a text's letters: names, a quoted word


def is_written_in(text: str, language: str) -> bool:
    """Whether at most a fifth of the letters are of scripts that `language` (BCP-47) is not read in."""
    letters = [letter for letter in text if letter.isalpha()]
    return sum(not is_native(letter, language) for letter in letters) <= _FOREIGN_MAX * len(letters)
