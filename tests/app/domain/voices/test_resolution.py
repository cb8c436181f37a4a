"""Which voice an alias resolves to, by the engines that are available; without a server."""

from collections.abc import Sequence

import msgspec
import pytest

from app.domain.errors import Invalid, UnknownLanguage
from app.domain.speech.validation import SpeechRequest, validate
from app.domain.voices.catalog import Catalog, catalog_of
from app.domain.voices.resolution import find, listed_names, resolve
from app.domain.voices.stock_voices import STOCK
from db.types import Capabilities
from tests.app.engines import ESPEAK, HIBARI, HIBARI_WHOLE, KOKORO, engine, spoken_by


def catalog(*present: Capabilities, away: Sequence[Capabilities] = ()) -> Catalog:
    texts = [msgspec.json.encode(one).decode() for one in (*present, *away)]
    return catalog_of(texts, texts[: len(present)])


def speaker(known: Catalog, name: str, **fields: object) -> tuple[str, str]:
    """The voice's id and the reason it was chosen."""
    found = resolve(known, SpeechRequest(text="hello", voice=name, **fields))  # type: ignore[arg-type]
    assert found is not None
    return found.offer.voice.id, found.reason


ALL = catalog(HIBARI, ESPEAK, KOKORO)


@pytest.mark.parametrize(
    ("name", "by"),
    [
        *(("Emma", "heart"), ("emma", "heart"), (" EMMA ", "heart"), ("ryan", "am_fenrir")),
        *(("Peter", "am_michael"), ("James", "am_fenrir"), ("alloy", "heart"), ("nova", "heart")),
        *(("onyx", "am_michael"), ("echo", "am_fenrir"), ("fable", "bm_fable"), ("ballad", "bm_george")),
        *(("shimmer", "af_bella"), ("sage", "af_kore"), ("verse", "am_puck")),
        ("21m00Tcm4TlvDq8ikWAM", "heart"),  # Rachel
        ("pNInz6obpgDQGcFmaJgB", "am_fenrir"),  # Adam
        ("JBFqnCBsd6RMkjVDRZzb", "bm_george"),  # George, British
        ("Xb7hH8MSUJpSbSDYk0k2", "bf_emma"),  # Alice, British
        ("Rachel", "heart"),
    ],
)
def test_with_every_engine_available_an_alias_has_its_natural_voice(name: str, by: str) -> None:
    assert speaker(ALL, name) == (by, "name")


def test_hibaris_own_man_speaks_before_kokoros() -> None:
    known = catalog(HIBARI_WHOLE, KOKORO, ESPEAK)
    assert [speaker(known, name)[0] for name in ("ryan", "James", "Xb7hH8MSUJpSbSDYk0k2")] == [
        *("fenrir", "fenrir", "emma-gb")
    ]
    assert speaker(known, "fable") == ("fable", "")  # that very voice


@pytest.mark.parametrize(
    ("name", "by"),
    [("Emma", "espeak-emma"), ("ryan", "espeak-ryan"), ("Peter", "espeak-peter"), ("James", "espeak-james")],
)
def test_espeaks_own_voice_speaks_with_a_reason_until_the_natural_voice_is_available(
    name: str, by: str
) -> None:
    unavailable = "natural_voice_unavailable"
    assert speaker(catalog(ESPEAK), name) == (by, unavailable)
    assert speaker(catalog(ESPEAK, away=[HIBARI, KOKORO]), name) == (by, unavailable)


def test_with_hibari_alone_beside_espeak_women_are_natural_and_men_are_not() -> None:
    known = catalog(HIBARI, ESPEAK)
    assert [speaker(known, name)[0] for name in ("Emma", "shimmer", "ryan", "onyx")] == [
        *("heart", "heart", "espeak-ryan", "espeak-peter")
    ]


def test_an_unavailable_engine_keeps_no_alias_from_an_available_one() -> None:
    known = catalog(HIBARI, ESPEAK, away=[KOKORO])
    assert speaker(known, "ryan") == ("espeak-ryan", "natural_voice_unavailable")
    assert speaker(known, "shimmer") == ("heart", "name")


def test_with_every_engine_unavailable_the_natural_voice_is_chosen() -> None:
    assert speaker(catalog(away=[ESPEAK, HIBARI]), "Emma") == ("heart", "name")


@pytest.mark.parametrize("family", ["openai", "elevenlabs"])
def test_every_family_of_aliases_has_several_voices(family: str) -> None:
    names = [stock.id for stock in STOCK.values() if stock.family == family]
    assert len({speaker(ALL, name)[0] for name in names}) >= 3
    assert len({speaker(catalog(ESPEAK), name)[0] for name in names}) >= 3


@pytest.mark.parametrize(
    ("name", "language", "expected"),
    [
        ("Emma", "en-US", ("heart", "name")),
        ("Emma", "en", ("heart", "name")),
        ("Emma", "", ("heart", "name")),
        ("Emma", "en_gb", ("bf_emma", "language")),
        ("Emma", "en-AU", ("espeak-emma", "language")),
        ("Emma", "de", ("de-female", "language")),
        ("ryan", "de", ("de-male", "language")),
        ("Emma", "fr", ("ff_siwis", "language")),
        ("ryan", "fr", ("fr-male", "language")),
        ("ryan", "en-GB", ("bm_george", "language")),
    ],
)
def test_an_alias_speaks_the_requested_language_by_a_voice_of_its_gender(
    name: str, language: str, expected: tuple[str, str]
) -> None:
    assert speaker(ALL, name, language=language) == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Привет, как дела?", None, ("ru-female", "language")),
        ("Привет, как дела?", " ", ("ru-female", "language")),
        ("Привет, как дела?", "en-US", ("heart", "name")),  # the requested language wins
        ("Please say Привет to her for me, and all good wishes.", None, ("heart", "name")),
        ("Zoë, this café is très cher. 5 € …", None, ("heart", "name")),
        ("漢字とかな", None, ("jf_alpha", "language")),
        ("你好，我的声音", None, ("heart", "name")),  # no voice here reads it
        ("… 1 2 3 €", None, ("heart", "name")),
    ],
)
def test_a_text_in_another_script_is_read_by_a_voice_that_knows_it(
    text: str, language: str | None, expected: tuple[str, str]
) -> None:
    russian = engine(
        "espeak",
        *ESPEAK.voices,
        spoken_by("ba-female", "ba-female", "ba", gender="female", quality="low"),
        spoken_by("ru-female", "ru-female", "ru", gender="female", quality="low"),
        spoken_by("ru-male", "ru-male", "ru", quality="low"),
    )
    japanese = engine("kokoro", *KOKORO.voices, spoken_by("jf_alpha", "Alpha", "ja-JP", gender="female"))
    found = resolve(
        catalog(HIBARI, russian, japanese), SpeechRequest(text=text, voice="Emma", language=language)
    )
    assert found is not None
    assert (found.offer.voice.id, found.reason) == expected


def test_an_unsupported_language_is_refused_with_the_languages_of_the_natural_voice() -> None:
    request = SpeechRequest(text="hello", voice="Emma", language="tlh")
    found = resolve(ALL, request)
    assert found is not None
    with pytest.raises(UnknownLanguage) as refused:
        validate(request, found.offer, characters_max=100)
    assert refused.value.fields["languages"] == ["en-US"]


@pytest.mark.parametrize("wanted", [{"speed": 3.0}, {"pitch": 5.0}, {"format": "flac"}])
def test_a_capable_voice_replaces_a_natural_voice_that_cannot_serve_the_request(
    wanted: dict[str, object],
) -> None:
    assert speaker(ALL, "Emma", **wanted) == ("espeak-emma", "settings")


def test_a_request_that_no_voice_can_serve_is_refused() -> None:
    request = SpeechRequest(text="hello", voice="Emma", speed=9.0)
    found = resolve(ALL, request)
    assert found is not None
    with pytest.raises(Invalid, match="speed"):
        validate(request, found.offer, characters_max=100)


def test_a_voice_id_is_that_voice_and_aliases_come_before_display_names() -> None:
    cloned = engine("xtts", spoken_by("emma", "Emma", "en", gender="female"), spoken_by("x1", "Bob", "en"))
    assert speaker(catalog(cloned, HIBARI), "Emma") == ("emma", "")
    assert speaker(ALL, "af_bella") == ("af_bella", "")
    rachel = engine("xtts", spoken_by("x2", "Rachel", "en", gender="female"))  # a name of ElevenLabs' too
    assert speaker(catalog(rachel, HIBARI), "Rachel") == ("x2", "")
    assert speaker(ALL, "Fable") == ("bm_fable", "name")
    assert speaker(catalog(cloned), "bob") == ("x1", "")


def test_the_operators_aliases_come_before_all_but_ids() -> None:
    chosen = {"emma": "ryan", "gail": "af_bella", "heart": "ryan", "me": "me", "lost": "nobody"}
    known = msgspec.structs.replace(ALL, chosen=chosen)
    assert speaker(known, "Emma") == ("am_fenrir", "name")
    assert speaker(known, "Emma", language="de") == ("de-male", "language")
    assert speaker(known, "Gail") == ("af_bella", "name")
    assert speaker(known, "heart") == ("heart", "")
    assert [find(known, name) for name in ("me", "lost", "nobody")] == [None, None, None]


def test_the_list_shows_the_properties_of_the_voice_that_speaks() -> None:
    before = {one.voice.name: one for one in listed_names(catalog(ESPEAK), "codevoice")}
    after = {one.voice.name: one for one in listed_names(ALL, "codevoice")}

    assert list(before) == list(after) == ["Emma", "ryan", "Peter", "James"]
    resolved = [
        (one.voice.id, one.voice_used, one.engine.engine, one.voice.quality) for one in after.values()
    ]
    assert resolved[:2] == [("emma", "heart", "hibari", "high"), ("ryan", "am_fenrir", "kokoro", "high")]
    assert (before["Emma"].voice_used, before["Emma"].voice.quality) == ("espeak-emma", "low")
    assert before["Emma"].voice.gender == after["Emma"].voice.gender == "female"


def test_the_requested_voice_is_kept_where_another_voice_speaks() -> None:
    def params(name: str) -> object:
        request = SpeechRequest(text="hello", voice=name)
        found = resolve(ALL, request)
        assert found is not None
        planned = validate(request, found.offer, characters_max=100, reason=found.reason)
        return msgspec.to_builtins(planned.params)

    kept = {"voice": "heart", "asked_voice": "EMMA", "voice_reason": "name"}
    assert kept.items() <= dict(params("EMMA")).items()  # type: ignore[call-overload]
    assert not {"asked_voice", "voice_reason"} & dict(params("heart")).keys()  # type: ignore[call-overload]


def test_without_voices_there_are_no_aliases() -> None:
    assert find(catalog(), "Emma") is None
    assert list(listed_names(catalog(), "codevoice")) == []
