"""The voices eSpeak NG offers, and espeak's identifiers for them. Pure: derived from espeak's own list."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from db.types import Voice
from workers.engines.protocol import Refused

_DROPPED = {
    # no dictionary
    *("gmq/fo", "trk/kaa", "art/xex"),
    # silent on digits, at least
    *("iro/chr", "trk/cv", "art/sjn"),
    # its process dies of a 0, of an 8, of some words with å
    "esx/kl",
    # invented, and of no use to callers: Lojban, Klingon, Pyash, Belta, Quenya
    *("art/jbo", "art/piqd", "art/py", "art/qdb", "art/qya"),
    # another alphabet or norm of a language that is already included
    *("gmw/en-Shaw", "ira/fa-Latn", "sit/cmn-Latn-pinyin", "sit/yue-Latn-jyutping", "zle/ru-cl"),
}
_TAGS = {  # where espeak's own tag is not BCP-47, or omits the country it means
    "gmw/en-US-nyc": "en-US-x-nyc", "roa/ca-ba": "ca-x-balear", "roa/ca-nw": "ca-x-nw",
    "roa/ca-va": "ca-valencia", "roa/es": "es-ES", "roa/pt": "pt-PT", "sit/cmn": "zh-CN",
}  # fmt: skip
_NAMES = {  # where espeak names the language only in the parenthesis
    "ga": "Irish",
    "gd": "Scottish Gaelic",
    "grc": "Ancient Greek",
    "my": "Burmese",
    "yue": "Cantonese",
}
_WEAKNESSES = {"ja": "Reads kana, but misreads most kanji."}
_GENDERS: dict[int, Literal["male", "female"]] = {1: "male", 2: "female"}
_PEOPLE = (  # English speakers in every accent; name, variant, the accents they begin with
    ("eSpeak Ryan", "m3", ("en-US", "en-GB")),
    ("eSpeak Peter", "m7", ("en-US", "en-GB")),
    ("eSpeak Emma", "f2", ("en-US", "en-GB")),
    ("eSpeak James", "m4", ("en-GB", "en-US")),
)
_FORMER = "espeak-"  # voice ids had this prefix until release 0.1, and jobs queued then still carry it
_LOCALS = {"male": "m6", "female": "f4"}  # the variants of each language's own two voices


class Listed(Struct, frozen=True):
    """One entry of espeak's list: a voice ("gmw/en-US") or a variant, its timbre ("!v/f3")."""

    name: str
    identifier: str
    gender: int  # 1 male, 2 female; correct for variants only: every voice has 1
    languages: tuple[str, ...]  # its own tag, in lower case, then those it may stand in for


class Catalogue(Struct, frozen=True):
    """The voices we offer, and espeak's identifier for each voice in each of its languages."""

    voices: tuple[Voice, ...]
    identifiers: Mapping[tuple[str, str], str]

    def identifier(self, voice: str, language: str) -> str:
        """espeak's identifier for this voice. Raises `Refused` if we offer no such voice or language."""
        if (voice, language) in self.identifiers:
            return self.identifiers[voice, language]
        known = any(offered == voice for offered, _ in self.identifiers)
        raise Refused("unknown_language" if known else "unknown_voice")


class _Language(Struct, frozen=True):
    tag: str
    name: str  # English
    identifier: str
    full_name: str  # in espeak's words: "English (Great Britain)"


class _Speaker(Struct, frozen=True):
    name: str
    variant: str
    languages: tuple[_Language, ...]
    about: str

    @property
    def id(self) -> str:
        return self.name.lower().replace(" ", "-")


def catalogue(listed: Sequence[Listed]) -> Catalogue:
    """The named speakers, then a male and a female one for every usable language.

    KeyError: this espeak lacks a variant we rely on. espeak itself would silently use some other voice.
    """
    genders = {entry.identifier: entry.gender for entry in listed if _is_variant(entry)}
    languages = [_language(entry) for entry in listed if not _is_variant(entry)]
    usable = [language for language in languages if language.identifier not in _DROPPED]
    speakers = (*_people(usable), *_locals(usable))
    return Catalogue(
        voices=tuple(_voice(speaker, genders[f"!v/{speaker.variant}"]) for speaker in speakers),
        identifiers={
            (voice_id, language.tag): f"{language.identifier}+{speaker.variant}"
            for speaker in speakers
            for voice_id in {speaker.id, speaker.id.removeprefix(_FORMER)}
            for language in speaker.languages
        },
    )


def _is_variant(entry: Listed) -> bool:
    return entry.identifier.startswith("!v/")


def _language(entry: Listed) -> _Language:
    tag = _TAGS.get(entry.identifier) or _bcp47(entry.languages[0])
    name = _NAMES.get(tag) or entry.name.partition("(")[0].strip()
    return _Language(tag, name, entry.identifier, entry.name.strip())


def _bcp47(tag: str) -> str:
    """espeak writes tags in lower case; by convention a country is in capitals: en-GB, vi-VN-x-south."""
    language, *rest = tag.split("-")
    country = [part.upper() if len(part) == 2 else part for part in rest[:1]]
    return "-".join([language, *country, *rest[1:]])


def _people(languages: Sequence[_Language]) -> Iterator[_Speaker]:
    english = [language for language in languages if language.name == "English"]
    for name, variant, first in _PEOPLE:
        ordered = sorted(
            english, key=lambda accent: first.index(accent.tag) if accent.tag in first else len(first)
        )
        yield _Speaker(name, variant, tuple(ordered), f"English in {len(english)} accents.")


def _locals(languages: Sequence[_Language]) -> Iterator[_Speaker]:
    for language in languages:
        for gender, variant in _LOCALS.items():
            about = f"{language.full_name}. {_WEAKNESSES.get(language.tag, '')}"
            yield _Speaker(f"{language.tag.lower()}-{gender}", variant, (language,), about)


def _voice(speaker: _Speaker, gender: int) -> Voice:
    return Voice(
        id=speaker.id,
        name=speaker.name,
        gender=_GENDERS[gender],
        languages=tuple(language.tag for language in speaker.languages),
        language_names=tuple(language.name for language in speaker.languages),
        description=f"Robotic formant voice (eSpeak NG). {speaker.about}".strip(),
        quality="low",
    )
