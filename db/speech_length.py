"""Estimates how long a text takes to speak, from its characters alone; digits count as spoken words.

The figures were measured with espeak at speed 1; a letter's includes the spaces around it in prose. Unknown
characters count as short, so that no text is refused because of a guess.
"""

import re
from collections import Counter
from functools import lru_cache

from db.writing_scripts import is_native, script_of

_LETTER_S = {  # spoken by a voice of the letter's own language
    "Latn": 0.052, "Grek": 0.054, "Cyrl": 0.052, "Armn": 0.08, "Geor": 0.07, "Hebr": 0.083, "Arab": 0.07,
    "Thai": 0.12, "Mymr": 0.08, "Hang": 0.16, "Hani": 0.24, "Kana": 0.11, "Ethi": 0.12,
}  # fmt: skip
_INDIC_S = 0.09
_LETTER_OF_S = {
    **dict.fromkeys(("ca", "fr"), 0.043),
    **dict.fromkeys(("de", "en"), 0.056),
    **dict.fromkeys(("es", "vi"), 0.06),
    "ar": 0.09, "hi": 0.105, "tr": 0.07,
}  # fmt: skip
_FOREIGN_LETTER_S = {  # spelt out, or named one by one
    "Latn": 0.052, "Grek": 0.08, "Cyrl": 0.1, "Armn": 0.1, "Geor": 0.1, "Hebr": 0.5, "Arab": 0.5, "Deva": 0.1,
    "Beng": 0.12, "Taml": 0.12, "Sinh": 0.12, "Telu": 0.5, "Hang": 0.1, "Hani": 0.6, "Kana": 0.7,
}  # fmt: skip
_CODED_LETTER_S = 0.7
_JAPANESE_HAN_S = 0.9  # espeak names most of them
_DIGIT_S = 0.5
_DIGIT_OF_S = {
    **dict.fromkeys(("gn", "ht", "mi", "my", "shn", "th"), 0.3),
    **dict.fromkeys(("fr", "lb", "quc", "uz", "vi", "yue"), 0.35),
    **dict.fromkeys(
        ("ba", "bn", "ca", "ga", "gu", "hi", "kok", "mr", "pa", "qu", "sd", "tt", "ur", "zh"), 0.4
    ),
    **dict.fromkeys(("as", "az", "da", "eo", "fa", "hak", "kk", "ky", "lfn", "nog", "or", "pap", "ru"), 0.45),
    **dict.fromkeys(("ja", "ko", "si", "tk", "tr", "ug"), 0.45),
    **dict.fromkeys(("af", "am", "an", "be", "bg", "el", "es", "grc", "haw", "he", "hy", "io", "ms"), 0.55),
    **dict.fromkeys(("nb", "ne", "pt", "sl", "sq", "ta", "te"), 0.55),
    **dict.fromkeys(("de", "eu", "ia", "id", "is", "mt", "om", "pl", "ro", "sw"), 0.6),
    **dict.fromkeys(("et", "la", "ltg", "lv"), 0.65),
    **dict.fromkeys(("ar", "fi", "lt", "smj", "ti", "uk"), 0.7),
    **dict.fromkeys(("mto", "tn"), 0.85),
}
_SYMBOLS = frozenset("=*#~@+%$€£&^|/\\<>°±×÷©®™")
_SYMBOL_S, _EMOJI_S = 0.35, 0.25
_REPEATED = re.compile(r"([^\w\s])\1{3,}")  # three of each ten are spoken
_SHORT_PAUSE = re.compile(r"\w[,;:]\s|[、，；：،؛]")
_LONG_PAUSE = re.compile(r"\w[.!?]\s|[。！？؟।።]|\n\s*\n")
_SHORT_PAUSE_S, _LONG_PAUSE_S = 0.15, 0.4


def estimated_seconds(text: str, language: str, speed: float) -> float:
    """About how long `text` takes in `language` (BCP-47) at `speed`: within a third for prose and numbers,
    and rather too short than too long. Linear in the text: some milliseconds for 100,000 characters.
    """
    base = language.partition("-")[0].lower()
    seconds = sum(count * _seconds(character, base) for character, count in _counted(text).items())
    seconds += _SHORT_PAUSE_S * len(_SHORT_PAUSE.findall(text))
    seconds += _LONG_PAUSE_S * len(_LONG_PAUSE.findall(text))
    return seconds / speed


def least_seconds(text: str, language: str, speed: float) -> float:
    """A lower bound: each character takes as long as the text's shortest letter."""
    base = language.partition("-")[0].lower()
    letters = {character for character in set(text) if character.isalpha()}
    return len(text) * min((_letter_seconds(letter, base) for letter in letters), default=_DIGIT_S) / speed


def _counted(text: str) -> Counter[str]:
    counted = Counter(text)
    for run in _REPEATED.finditer(text):
        length = run.end() - run.start()
        counted[run[1]] -= length - 3 * -(-length // 10)
    return counted


@lru_cache(maxsize=10_000)  # halves the estimate, which every POST makes
def _seconds(character: str, base: str) -> float:
    if character.isspace():
        return 0.0
    if character.isdecimal():
        return _DIGIT_OF_S.get(base, _DIGIT_S)
    if character.isalpha():
        return _letter_seconds(character, base)
    if character in _SYMBOLS:
        return _SYMBOL_S
    return _EMOJI_S if "\u2600" <= character < "\ufe00" or character >= "\U0001f000" else 0.0


def _letter_seconds(character: str, base: str) -> float:
    script = script_of(character)
    if not is_native(character, base):
        return _FOREIGN_LETTER_S.get(script, _CODED_LETTER_S)
    if base == "ja" and script == "Hani":
        return _JAPANESE_HAN_S
    return _LETTER_OF_S.get(base) or _LETTER_S.get(script, _INDIC_S)
