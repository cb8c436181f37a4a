"""XTTS's built-in speakers as voices: the weights file has their names, and nothing else about them."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal

from db.types import Voice

_LANGUAGE_NAMES = {
    "en": "English", "es": "Spanish", "fr": "French", "de": "German", "it": "Italian", "pt": "Portuguese",
    "pl": "Polish", "tr": "Turkish", "ru": "Russian", "nl": "Dutch", "cs": "Czech", "ar": "Arabic",
    "zh-CN": "Chinese", "hu": "Hungarian", "ko": "Korean", "ja": "Japanese", "hi": "Hindi",
}  # fmt: skip
_WOMEN = {
    "Claribel", "Daisy", "Gracie", "Tammie", "Alison", "Ana", "Annmarie", "Asya", "Brenda", "Gitta",
    "Henriette", "Sofia", "Tammy", "Tanja", "Vjollca", "Nova", "Maja", "Uta", "Lidiya", "Chandra",
    "Szofi", "Camilla", "Lilya", "Zofija", "Narelle", "Barbora", "Alexandra", "Alma", "Rosemary", "Ann",
}  # fmt: skip
_MEN = {
    "Andrew", "Badr", "Dionisio", "Royston", "Viktor", "Abrahan", "Adde", "Baldur", "Craig", "Damien",
    "Gilberto", "Ilkin", "Kazuhiko", "Ludvig", "Suad", "Torcull", "Zacharie", "Ige", "Filip", "Damjan",
    "Wulf", "Aaron", "Kumar", "Eugenio", "Ferran", "Xavier", "Luis", "Marcos", "Bob",
}  # fmt: skip


def voices(speakers: Iterable[str], languages: Sequence[str]) -> dict[str, Voice]:
    """The speaker's name in the weights → voice; each speaks all `languages`."""
    names = tuple(_LANGUAGE_NAMES[tag] for tag in languages)
    return {
        speaker: Voice(
            id=_id(speaker),
            name=speaker,
            gender=_gender(speaker.partition(" ")[0]),
            languages=tuple(languages),
            language_names=names,
            description=f"XTTS v2, built-in speaker {speaker}",
            quality="high",
        )
        for speaker in speakers
    }


def _id(speaker: str) -> str:
    """Claribel Dervla → claribel-dervla; without accents and other signs."""
    plain = unicodedata.normalize("NFKD", speaker.replace("ı", "i"))
    letters = "".join(c for c in plain if not unicodedata.combining(c)).lower()
    return re.sub(r"[^a-z0-9]+", "-", letters).strip("-")


def _gender(first_name: str) -> Literal["male", "female", "neutral"]:
    if first_name in _WOMEN:
        return "female"
    return "male" if first_name in _MEN else "neutral"
