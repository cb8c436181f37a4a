"""Single characters that engines read differently from a person."""

import re
import unicodedata

from db.writing_scripts import LATIN_ONLY, is_native, script_of, scripts_of

SILENT = (  # marks on any letter, joiners, variation selectors, directions, tags, private use
    r"\u00ad\u0300-\u036f\u0483-\u0489\u061c\u1ab0-\u1aff\u1dc0-\u1dff\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u20d0-\u20ff\ue100-\uf8ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\U000e0000-\U0010ffff"
)
_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 133), *range(134, 160)], " ")
_SILENT_MAX = 8  # the flag of Scotland has seven
_SILENT_RUN = re.compile(rf"([{SILENT}]{{{_SILENT_MAX}}})[{SILENT}]+")
_FATAL = {  # alone in a clause, or before a long one, they end espeak's process
    "vi": str.maketrans("`ॠૠ", "'ऋઋ"),
    "si": str.maketrans("]", ")"),
    "ti": str.maketrans("\U0001f549", " "),
}
_LONE_VISARGA = re.compile(r"(?<![\u1000-\u109f])\u1038")  # of Burmese: as the last
# espeak counts the vowels of a word with a hyphen before it from the word before, and from an undefined place
# if nothing of that word is spoken. In Persian a zero-width non-joiner is a hyphen.
_HYPHEN = re.compile(r"((?<!-)(?:--)+|[^\s-])([-\u200c])(?=([^\W\d_]|[^\x00-\x7f\s\w]))")
_HYPHEN_COUNTED = {  # by their own rules
    *("as", "ba", "bn", "bpy", "da", "hi", "kok", "ml"),
    *("mr", "ne", "sd", "tt", "ur", "vi"),
}
_BRAILLE = re.compile(r"[\u2800-\u28ff]")  # some cells crash some voices; few voices name any
_ENCLOSED = (
    r"\u2460-\u24ff\u2776-\u2793\U0001f100-\U0001f10c\U0001f110-\U0001f12b\U0001f130-\U0001f149"
    r"\U0001f150-\U0001f169\U0001f170-\U0001f189"
)
_ENCLOSED_RUN = re.compile(rf"(?<=(\w))?([{_ENCLOSED}]+)(?=(\w))?")
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")
_READ_AS_LATIN_DIGITS = {"ku", "sd", "si", "ug", "ur"}  # espeak is silent at their own digits


def cleaned(text: str) -> str:
    """`text` with control characters as spaces, and at most a few silent signs in one place."""
    return _SILENT_RUN.sub(r"\1", text.translate(_CONTROLS))


def readable(text: str, language: str) -> str:
    """`text` with control characters and braille as spaces, letters and digits in circles as plain ones,
    foreign digits as the reader's, and at most a few of the signs that are never spoken in one place.
    """
    base = _base(language)
    text = _BRAILLE.sub(" ", cleaned(text).translate(_FATAL.get(base, {})))
    if base == "my":
        text = _LONE_VISARGA.sub("", text)
    text = _HYPHEN.sub(lambda found: _hyphen(found, language), _ENCLOSED_RUN.sub(_plain_run, text))
    return _OTHER_DIGIT.sub(lambda found: _digit(found[0], language), text)


def _hyphen(found: re.Match[str], language: str) -> str:
    before, hyphen, after = found.groups()
    if _is_read(before, language) or (_is_known(after, language) and _base(language) not in _HYPHEN_COUNTED):
        return found[0]
    return f"{before} {hyphen}"


def _is_read(sign: str, language: str) -> bool:
    """Whether the voice is sure to say something for it: a digit, or a letter or mark of a script with a
    name. Latin letters with marks only count for languages that are written in Latin.
    """
    if sign.isascii() or not (sign.isalpha() or unicodedata.category(sign)[0] == "M"):
        return sign.isalnum()
    if unicodedata.category(sign) == "Lm":  # an apostrophe may be one
        return False
    script = script_of(sign)
    if unicodedata.category(sign)[0] == "M":  # silent on letters of others, as on ligatures
        return script not in ("", "Latn") and is_native(sign, language)
    return script != "" and (script != "Latn" or scripts_of(language) == LATIN_ONLY)


def _is_known(letter: str, language: str) -> bool:
    """Whether a letter is the voice's own, and no ligature or the like."""
    return is_native(letter, language) and not unicodedata.decomposition(letter).startswith("<compat>")


def _plain_run(found: re.Match[str]) -> str:
    """Enclosed letters and digits, separated by spaces, as their enclosing separated them."""
    before, run, after = found.groups()
    return f"{' ' if before else ''}{' '.join(map(_plain, run))}{' ' if after else ''}"


def _plain(sign: str) -> str:
    """The content of a circle, square or brackets."""
    plain = unicodedata.normalize("NFKC", sign)
    if plain != sign:
        return plain
    number = unicodedata.numeric(sign, None)
    return unicodedata.name(sign).rpartition(" ")[2] if number is None else str(int(number))


def _digit(digit: str, language: str) -> str:
    if is_native(digit, language) and _base(language) not in _READ_AS_LATIN_DIGITS:
        return digit
    return str(unicodedata.decimal(digit))


def _base(language: str) -> str:
    return language.partition("-")[0].lower()
