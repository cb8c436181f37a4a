"""Numbers as words, for engines that cannot read digits."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unicode_rbnf import RbnfEngine

_WORDS = {  # the words for a decimal point and a minus; in other languages both stay signs
    "ar": ("فاصلة", "ناقص"),
    "cs": ("čárka", "minus"),
    "de": ("Komma", "minus"),
    "en": ("point", "minus"),
    "es": ("coma", "menos"),
    "fr": ("virgule", "moins"),
    "hi": ("दशमलव", "ऋण"),
    "hu": ("vessző", "mínusz"),
    "it": ("virgola", "meno"),
    "ja": ("点", "マイナス"),
    "ko": ("점", "마이너스"),
    "nl": ("komma", "min"),
    "pl": ("przecinek", "minus"),
    "pt": ("vírgula", "menos"),
    "ru": ("запятая", "минус"),
    "tr": ("virgül", "eksi"),
    "zh": ("点", "负"),
}
# Languages in which a comma separates thousands; elsewhere the reverse.
_DOT_IS_POINT = {"en", "zh", "ja", "ko", "hi", "th", "he"}
_SPACE_PARTS = {"fr", "pl", "ru", "cs", "hu", "uk", "sk", "bg", "sv", "no", "fi"}  # thousands, too
_UNSPACED = {"zh", "ja", "ko", "th"}  # a number may touch its neighbours
_DIGITS_MAX = 15  # beyond, a number is read digit by digit, as one with a leading 0 is
_SOFT_HYPHEN = "\u00ad"


def spell(text: str, language: str) -> str:
    """`text` with its numbers in `language`'s words: integers, decimals, thousands with separators.

    Digits that touch letters ("mp3", "1st") stay, and so does everything if the language is not known. In
    dates, times, versions and the like each number is spelled by itself.
    """
    speller = _speller(language.partition("-")[0].lower())
    return speller.spell(text) if speller else text


@lru_cache(maxsize=128)
def _speller(language: str) -> "_Speller | None":
    from unicode_rbnf import RbnfEngine

    known = {"nb": "no"}.get(language, language)
    if known not in RbnfEngine.get_supported_languages():
        return None
    return _Speller(known, RbnfEngine.for_language(known))


class _Speller:
    def __init__(self, language: str, engine: "RbnfEngine") -> None:
        self._engine = engine
        self._space = "" if language in _UNSPACED else " "
        self._point, self._minus = _WORDS.get(language, ("", ""))
        point, group = (".", ",") if language in _DOT_IS_POINT else (",", ".")
        spaces = "\u00a0\u202f" + (" " if language in _SPACE_PARTS else "")
        letter = "A-Za-z" if language in _UNSPACED else r"^\W\d_"
        self._run = re.compile(
            rf"(?P<minus>(?<![^\s(\[{{])[-\u2212])?(?<![{letter}])(?<!\d)"
            rf"(?P<number>(?>\d+(?:[.,\'\u2019]\d+|[{spaces}]\d{{3}}(?!\d))*))(?![{letter}])"
        )
        parted = rf"\d{{1,3}}(?:[{group}{spaces}\'\u2019]\d{{3}})+"
        self._number = re.compile(rf"({parted}|\d+)(?:[{point}](\d+))?|(\d+)[.,](\d+)")

    def spell(self, text: str) -> str:
        return self._run.sub(self._said, text)

    def _said(self, found: re.Match[str]) -> str:
        words = self._words(found["number"])
        if not found["minus"]:
            return words
        return f"{self._minus}{self._space}{words}" if self._minus else found["minus"] + words

    def _words(self, run: str) -> str:
        number = self._number.fullmatch(run)
        whole, digits = (number[1] or number[3], number[2] or number[4]) if number else ("", None)
        if not number or (digits and not self._point):  # 1.2.3: each by itself
            return re.sub(r"\d+", lambda each: self._integer(each[0]), run)
        said = self._integer(re.sub(r"\D", "", whole))
        return self._space.join([said, self._point, self._digits(digits)]) if digits else said

    def _integer(self, digits: str) -> str:
        if len(digits) > _DIGITS_MAX or (len(digits) > 1 and int(digits[0]) == 0):
            return self._digits(digits)
        return self._engine.format_number(int(digits)).text.replace(_SOFT_HYPHEN, "")

    def _digits(self, digits: str) -> str:
        return self._space.join(self._integer(digit) for digit in digits)
