"""The script a character belongs to, and the scripts a language is written in."""

from bisect import bisect_right
from functools import lru_cache

_RANGES = (   # the first code point and the script; a range ends where the next one begins
    (0x0000, "Latn"), (0x0370, "Grek"), (0x0400, "Cyrl"), (0x0530, "Armn"), (0x0590, "Hebr"),
    (0x0600, "Arab"), (0x0700, ""), (0x0750, "Arab"), (0x0780, ""), (0x08A0, "Arab"), (0x0900, "Deva"),
    (0x0980, "Beng"), (0x0A00, "Guru"), (0x0A80, "Gujr"), (0x0B00, "Orya"), (0x0B80, "Taml"),
    (0x0C00, "Telu"), (0x0C80, "Knda"), (0x0D00, "Mlym"), (0x0D80, "Sinh"), (0x0E00, "Thai"),
    (0x0E80, ""), (0x1000, "Mymr"), (0x10A0, "Geor"), (0x1100, "Hang"), (0x1200, "Ethi"), (0x13A0, ""),
    (0x1C80, "Cyrl"), (0x1C90, "Geor"), (0x1CC0, ""), (0x1D00, "Latn"), (0x1D2B, ""), (0x1E00, "Latn"),
    (0x1F00, "Grek"), (0x2000, ""), (0x2D00, "Geor"), (0x2D30, ""), (0x2D80, "Ethi"), (0x2DE0, "Cyrl"),
    (0x2E00, ""), (0x2E80, "Hani"), (0x3000, ""), (0x3005, "Hani"), (0x3008, ""), (0x3041, "Kana"),
    (0x3100, ""), (0x3130, "Hang"), (0x3190, ""), (0x31F0, "Kana"), (0x3200, ""), (0x3400, "Hani"),
    (0xA000, ""), (0xA640, "Cyrl"), (0xA6A0, ""), (0xA720, "Latn"), (0xA800, ""), (0xA8E0, "Deva"),
    (0xA900, ""), (0xA960, "Hang"), (0xA980, ""), (0xA9E0, "Mymr"), (0xAA00, ""), (0xAA60, "Mymr"),
    (0xAA80, ""), (0xAB00, "Ethi"), (0xAB30, "Latn"), (0xAB70, ""), (0xAC00, "Hang"), (0xD800, ""),
    (0xF900, "Hani"), (0xFB00, "Latn"), (0xFB13, "Armn"), (0xFB1D, "Hebr"), (0xFB50, "Arab"),
    (0xFE00, ""), (0xFE70, "Arab"), (0xFEFF, ""), (0xFF66, "Kana"), (0xFFA0, ""), (0x20000, "Hani"),
    (0x3FFFE, ""),
)  # fmt: skip
_STARTS = [start for start, _ in _RANGES]

LATIN_ONLY = frozenset(("Latn",))
_WRITTEN_IN = {
    **dict.fromkeys(("ar", "fa", "ku", "sd", "ug", "ur"), "Arab"),
    **dict.fromkeys(("ba", "be", "bg", "kk", "ky", "mk", "nog", "ru", "sr", "tt", "uk"), "Cyrl"),
    **dict.fromkeys(("as", "bn", "bpy"), "Beng"),
    **dict.fromkeys(("hi", "kok", "mr", "ne"), "Deva"),
    **dict.fromkeys(("am", "ti"), "Ethi"),
    **dict.fromkeys(("el", "grc"), "Grek"),
    **dict.fromkeys(("hy", "hyw"), "Armn"),
    **dict.fromkeys(("cmn", "hak", "yue", "zh"), "Hani"),
    **dict.fromkeys(("my", "shn"), "Mymr"),
    "gu": "Gujr", "he": "Hebr", "ka": "Geor", "kn": "Knda", "ko": "Hang", "ml": "Mlym", "or": "Orya",
    "pa": "Guru", "si": "Sinh", "ta": "Taml", "te": "Telu", "th": "Thai",
}  # fmt: skip


def script_of(character: str) -> str:
    """The ISO 15924 code of the character's script, if engines read its letters; else ""."""
    return _RANGES[bisect_right(_STARTS, ord(character)) - 1][1]


@lru_cache(maxsize=256)
def scripts_of(language: str) -> frozenset[str]:
    """The scripts a reader of `language` knows. All know Latin letters."""
    base = language.partition("-")[0].lower()
    if base == "ja":
        return frozenset(("Latn", "Kana", "Hani"))
    return frozenset(("Latn", _WRITTEN_IN.get(base, "Latn")))


def is_native(character: str, language: str) -> bool:
    """Whether a reader of `language` knows the character's script."""
    return script_of(character) in scripts_of(language)
