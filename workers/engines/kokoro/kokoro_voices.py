"""The voices of Kokoro-82M, and the meaning of their ids. Pure.

The id's first letter is the language that the voice speaks, the second its gender: `af_heart`.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from db.types import Voice

_GENDERS: Mapping[str, Literal["female", "male"]] = {"f": "female", "m": "male"}
_CREDITS = {  # recordings under CC BY require attribution
    "jf_": "Learned in part from Koniwa (CC BY).",
    "ff_siwis": "Learned from SIWIS (CC BY).",
}


class Language(Struct, frozen=True, kw_only=True):
    """The meaning of the first letter of a voice's id, and how its texts become phonemes."""

    tag: str  # BCP-47
    name: str  # in English
    accent: str  # with its country, in English
    needs: tuple[str, ...] = ()  # packages of an extra
    extra: str = ""
    folder: str = ""  # of the models, if its phonemes need one
    espeak: str = ""  # espeak's identifier of the voice that makes its phonemes


LANGUAGES: Mapping[str, Language] = {
    "a": Language(tag="en-US", name="English", accent="American English", folder="hibari"),
    "b": Language(tag="en-GB", name="English", accent="British English", folder="hibari"),
    "e": Language(tag="es-ES", name="Spanish", accent="Spanish of Spain", espeak="roa/es"),
    "f": Language(tag="fr-FR", name="French", accent="French of France", espeak="roa/fr"),
    "h": Language(tag="hi-IN", name="Hindi", accent="Hindi", espeak="inc/hi"),
    "i": Language(tag="it-IT", name="Italian", accent="Italian", espeak="roa/it"),
    "j": Language(
        tag="ja-JP",
        name="Japanese",
        accent="Japanese",
        needs=("pyopenjtalk", "jaconv"),
        extra="kokoro-ja",
        folder="kokoro-ja",
    ),
    "p": Language(tag="pt-BR", name="Portuguese", accent="Brazilian Portuguese", espeak="roa/pt-BR"),
    "z": Language(
        tag="zh-CN",
        name="Chinese",
        accent="Mandarin Chinese",
        needs=("misaki", "pypinyin", "jieba", "cn2an", "ordered_set"),
        extra="kokoro-zh",
    ),
}
BY_TAG: Mapping[str, Language] = {language.tag: language for language in LANGUAGES.values()}


def lacking(language: Language, folders: Container[str], is_there: Callable[[str], bool]) -> str:
    """What must be installed before the language can be spoken, as text; "" if nothing is missing.

    `folders`: the installed models. `is_there`: whether a package can be imported.
    """
    if language.folder and language.folder not in folders:
        return f"the model {language.folder}: codevoice models add {language.folder}"
    needs = ("espeakng_loader",) if language.espeak else language.needs
    extra = "embedded" if language.espeak else language.extra
    absent = [package for package in needs if not is_there(package)]
    return f"the packages of codevoice[{extra}] ({', '.join(absent)})" if absent else ""


def voices(ids: Iterable[str], speakable: Sequence[Language]) -> tuple[Voice, ...]:
    """The voices of these ids whose language can be spoken; English first, then by id."""
    known = [voice for voice in sorted(ids) if _is_known(voice)]
    return tuple(_voice(voice) for voice in known if LANGUAGES[voice[0]] in speakable)


def _is_known(voice: str) -> bool:
    return voice[:1] in LANGUAGES and voice[1:2] in _GENDERS and voice[2:3] == "_"


def _voice(voice: str) -> Voice:
    language, gender = LANGUAGES[voice[0]], _GENDERS[voice[1]]
    credit = next((text for start, text in _CREDITS.items() if voice.startswith(start)), "")
    said = f"Natural {gender} voice of Kokoro-82M: {language.accent}."
    return Voice(
        id=voice,
        name=f"Kokoro {voice[3:].capitalize()}",  # many bare names are those of other engines' voices
        gender=gender,
        languages=(language.tag,),
        language_names=(language.name,),
        description=f"{said} {credit}".strip(),
        quality="high",
    )
