"""The espeak catalogue, from a list as espeak gives it."""

import re

import pytest

from db.types import Voice
from workers.engines.espeak.espeak_voices import Catalogue, Listed, catalogue
from workers.engines.protocol import Refused

VARIANTS = [
    *(Listed(name, f"!v/{name}", 1, ("variant",)) for name in ("m3", "m4", "m6", "m7")),
    *(Listed(name, f"!v/{name}", 2, ("variant",)) for name in ("f2", "f4")),
]
BRITISH = Listed("English (Great Britain)", "gmw/en", 1, ("en-gb", "en"))
AMERICAN = Listed("English (America)", "gmw/en-US", 1, ("en-us", "en"))
GERMAN = Listed("German", "gmw/de", 1, ("de",))
FORMER = ("ryan", "peter", "emma", "james")


def offer(*voices: Listed) -> Catalogue:
    return catalogue([*voices, *VARIANTS])


def test_each_language_has_a_man_and_a_woman() -> None:
    local = [voice for voice in offer(GERMAN).voices if "German" in voice.language_names]
    expected = Voice(
        id="de-male",
        name="de-male",
        gender="male",
        languages=("de",),
        language_names=("German",),
        description="Robotic formant voice (eSpeak NG). German.",
        quality="low",
    )
    assert local[0] == expected
    assert [(voice.id, voice.gender) for voice in local] == [("de-male", "male"), ("de-female", "female")]


def test_the_named_speakers_share_the_accents_but_not_their_timbre() -> None:
    offered = offer(BRITISH, AMERICAN, GERMAN)
    people = {voice.name: (voice.id, voice.gender, voice.languages) for voice in offered.voices[:4]}
    assert people == {
        "eSpeak Ryan": ("espeak-ryan", "male", ("en-US", "en-GB")),
        "eSpeak Peter": ("espeak-peter", "male", ("en-US", "en-GB")),
        "eSpeak Emma": ("espeak-emma", "female", ("en-US", "en-GB")),
        "eSpeak James": ("espeak-james", "male", ("en-GB", "en-US")),
    }
    assert len({offered.identifier(f"espeak-{who}", "en-US") for who in FORMER}) == 4


@pytest.mark.parametrize("former", FORMER)
def test_jobs_queued_under_an_earlier_id_of_a_speaker_are_still_spoken(former: str) -> None:
    offered = offer(BRITISH, AMERICAN)
    assert offered.identifier(former, "en-GB") == offered.identifier(f"espeak-{former}", "en-GB")
    with pytest.raises(Refused, match="unknown_language"):
        offered.identifier(former, "de")


@pytest.mark.parametrize(
    ("listed", "tag", "name"),
    [
        (BRITISH, "en-GB", "English"),
        (Listed("English (Caribbean)", "gmw/en-029", 1, ("en-029", "en")), "en-029", "English"),
        (Listed("French (France)", "roa/fr", 1, ("fr-fr", "fr")), "fr-FR", "French"),
        (Listed("Portuguese (Brazil)", "roa/pt-BR", 1, ("pt-br", "pt")), "pt-BR", "Portuguese"),
        (Listed("Portuguese (Portugal)", "roa/pt", 1, ("pt", "pt-pt")), "pt-PT", "Portuguese"),
        (Listed("Chinese (Mandarin, …)", "sit/cmn", 1, ("cmn", "zh")), "zh-CN", "Chinese"),
        (Listed("Chinese (Cantonese)", "sit/yue", 1, ("yue", "zh")), "yue", "Cantonese"),
        (
            Listed("Vietnamese (Southern)", "aav/vi-VN-x-south", 1, ("vi-vn-x-south",)),
            "vi-VN-x-south",
            "Vietnamese",
        ),
    ],
)
def test_espeak_languages_become_bcp47(listed: Listed, tag: str, name: str) -> None:
    voice = offer(listed).voices[-1]
    assert (voice.languages, voice.language_names) == ((tag,), (name,))


def test_voices_that_do_not_work_are_not_offered() -> None:
    faroese = Listed("Faroese", "gmq/fo", 1, ("fo",))
    assert "fo" not in [tag for voice in offer(GERMAN, faroese).voices for tag in voice.languages]


def test_japanese_is_offered_with_a_warning() -> None:
    japanese = Listed("Japanese", "jpx/ja", 1, ("ja",))
    assert offer(japanese).voices[-1].description.endswith("Japanese. Reads kana, but misreads most kanji.")


def test_an_espeak_without_our_variants_is_refused() -> None:
    with pytest.raises(KeyError):
        catalogue([GERMAN])


def test_a_refusal_names_the_voice_or_the_language() -> None:
    offered = offer(GERMAN)
    with pytest.raises(Refused, match="unknown_voice"):
        offered.identifier("nobody", "de")
    with pytest.raises(Refused, match="unknown_language"):
        offered.identifier("de-male", "fr-FR")


def test_ids_are_plain_and_unique() -> None:
    ids = [voice.id for voice in offer(BRITISH, AMERICAN, GERMAN).voices]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9-]+", voice_id) for voice_id in ids)
