"""Prepares a text for XTTS: cleaned, in pieces short enough, each with a maximum length of its audio."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from workers.text.numbers import spell
from workers.text.split import split
from workers.xtts.script import Piece

# BCP-47 → the model's own names for the languages it was trained on.
LANGUAGES = {
    "en": "en", "es": "es", "fr": "fr", "de": "de", "it": "it", "pt": "pt", "pl": "pl", "tr": "tr",
    "ru": "ru", "nl": "nl", "cs": "cs", "ar": "ar", "zh-CN": "zh", "hu": "hu", "ko": "ko", "ja": "ja",
    "hi": "hi",
}  # fmt: skip
# Spoken as noise, or as invented words: upstream's issue 3516 and others.
_QUOTES = str.maketrans("", "", '"“”„‟«»‹›「」『』《》〝〞')
_ENDS = ".!?…。！？؟।。"
_FULL_STOPS = {"zh": "。", "ja": "。", "hi": "।"}
# Audio tokens: 21.5 a second. A slow speaker needs about two a letter, seven a Chinese character.
_CAP_AT_LEAST = 40
_CAP_A_CHARACTER = {"zh": 9, "ja": 7, "ko": 6}
_CAP_A_CHARACTER_ELSE = 3
_SPELLED_HERE = {"hi", "zh"}  # the tokenizer's own speller has no numbers for these
_LONG_NUMBER = re.compile(r"\d{15,}")  # and fails at some of these
_DIGIT = re.compile(r"\d")


class Unreadable(Exception):
    """The tokenizer cannot read this text."""


class Texts:
    """Texts → pieces, with the model's own tokenizer. Thread-safe."""

    def __init__(self, tokenizer: Any, *, text_tokens_max: int, audio_tokens_max: int) -> None:
        self._tokenizer = tokenizer
        self._text_tokens_max = text_tokens_max
        self._audio_tokens_max = audio_tokens_max

    def languages(self) -> tuple[str, ...]:
        """The languages the tokenizer can read here: Chinese and Japanese need a library each."""
        return tuple(tag for tag, language in LANGUAGES.items() if self._reads(language))

    def pieces(self, text: str, language: str, voice: str) -> list[Piece]:
        """The pieces in order; none if there is nothing to say. The same text, language and voice give the
        same seeds.

        Raises Unreadable.
        """
        name = LANGUAGES[language]
        seeds = _seeds(f"{voice}\0{language}\0{text}")
        found = split(cleaned(text, name), language=language, fits=self._fits(name))
        return [self._piece(part, name, seed) for part, seed in zip(found, seeds) if _says(part)]  # noqa: B905

    def _fits(self, language: str) -> Callable[[str], bool]:
        characters_max: int = self._tokenizer.char_limits[language]

        def fits(part: str) -> bool:
            return (
                len(part) < characters_max  # a full stop may be added
                and len(self._tokens(part, language)) <= self._text_tokens_max
            )

        return fits

    def _piece(self, part: str, language: str, seed: int) -> Piece:
        a_character = _CAP_A_CHARACTER.get(language, _CAP_A_CHARACTER_ELSE)
        cap = min(self._audio_tokens_max, _CAP_AT_LEAST + a_character * len(part))
        return Piece(tuple(self._tokens(part, language)), cap, seed)

    def _tokens(self, part: str, language: str) -> list[int]:
        part = finished(part, language).lower()
        try:
            return self._tokenizer.encode(part, lang=language)
        except Exception:  # whatever its rules for numbers fail at
            digits_apart = _DIGIT.sub(lambda digit: f" {spell(digit[0], language)} ", part)
        try:
            return self._tokenizer.encode(digits_apart, lang=language)
        except Exception as error:
            raise Unreadable(type(error).__name__) from error

    def _reads(self, language: str) -> bool:
        try:
            self._tokenizer.encode("a", lang=language)
        except ImportError:
            return False
        return True


def cleaned(text: str, language: str) -> str:
    """Without quotes and signs that are not letters; numbers in words where the tokenizer would fail."""
    text = "".join(c for c in text.translate(_QUOTES) if c.isspace() or unicodedata.category(c)[0] != "C")
    if language in _SPELLED_HERE:
        return spell(text, language)
    return _LONG_NUMBER.sub(lambda number: spell(number[0], language), text)


def finished(part: str, language: str) -> str:
    """With plain white space, and punctuation at its end: without it, the model does not stop talking."""
    part = " ".join(part.split())
    if part.endswith(tuple(_ENDS)):
        return part
    return part.rstrip(",;:-–—، ") + _FULL_STOPS.get(language, ".")


def _says(part: str) -> bool:
    return any(letter.isalnum() for letter in part)


def _seeds(text: str) -> Iterator[int]:
    first = int.from_bytes(hashlib.sha256(text.encode(errors="replace")).digest()[:6], "big")
    number = 0
    while True:
        yield first + 1000 * number
        number += 1
