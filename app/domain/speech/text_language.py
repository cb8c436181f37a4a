"""Guesses the language of a text by its script alone, for requests that do not name one."""

from collections import Counter

from db.writing_scripts import script_of

_LETTERS_MAX = 400  # of a text's beginning, that are examined
_FOREIGN_MAX = 0.2  # of letters: a text with so few of another script is still written in Latin letters
_KANA_MIN = 0.1  # of Japanese letters
_LANGUAGES = {  # of the languages written in a script, the one with the most readers
    "Arab": "ar", "Armn": "hy", "Beng": "bn", "Cyrl": "ru", "Deva": "hi", "Ethi": "am", "Geor": "ka",
    "Grek": "el", "Gujr": "gu", "Guru": "pa", "Hang": "ko", "Hani": "zh", "Hebr": "he", "Kana": "ja",
    "Knda": "kn", "Mlym": "ml", "Mymr": "my", "Orya": "or", "Sinh": "si", "Taml": "ta", "Telu": "te",
    "Thai": "th",
}  # fmt: skip


def script_language(text: str) -> str | None:
    """The language of a text that is not in Latin letters; None: it is, or its script is unknown."""
    if text.isascii():
        return None
    scripts = Counter(script_of(letter) for letter in text[:_LETTERS_MAX] if letter.isalpha())
    foreign = scripts.total() - scripts["Latn"]
    if foreign <= _FOREIGN_MAX * scripts.total():
        return None
    japanese = scripts["Kana"] + scripts["Hani"]  # Japanese is written with Chinese characters too
    if scripts["Kana"] >= _KANA_MIN * japanese > 0 and japanese >= foreign / 2:
        return "ja"
    ((script, _),) = (scripts - Counter(Latn=scripts["Latn"])).most_common(1)
    return _LANGUAGES.get(script)
