"""Mixes of voices: which are accepted, their canonical names, and how others are refused."""

import pytest
from msgspec.structs import replace

from app.domain.errors import Invalid
from app.domain.voices.catalog import Catalog, Offer
from app.domain.voices.mixes import mixed, unknown
from tests.app.conftest import ENGINE, voice

MIXING = replace(
    ENGINE,
    engine="mixing",
    mix_voices_max=3,
    voices=(
        voice("af_heart", "en-US", gender="female"),
        voice("af_bella", "en-US", gender="female"),
        voice("bm_george", "en-GB"),
        voice("bm_lewis", "en-GB"),
        voice("ef_dora", "es-ES", gender="female"),
    ),
)
OFFERS = [Offer(each, engine) for engine in (MIXING, ENGINE) for each in engine.voices]
CATALOG = Catalog(tuple(OFFERS), {offer.voice.id: offer for offer in OFFERS})


def test_a_mix_is_a_voice_of_its_engine_under_its_canonical_name() -> None:
    offer = mixed(" AF_Heart(2) + af_bella", CATALOG)
    assert offer is not None
    assert offer.engine is MIXING
    assert (offer.voice.id, offer.voice.name) == ("af_bella(1)+af_heart(2)",) * 2
    assert (offer.voice.gender, offer.voice.languages) == ("female", ("en-US",))
    assert mixed(offer.voice.id, CATALOG) == offer


def test_a_mix_of_accents_and_genders_has_both_accents_and_is_neutral() -> None:
    offer = mixed("af_heart+bm_george(2)", CATALOG)
    assert offer is not None
    assert (offer.voice.gender, offer.voice.languages) == ("neutral", ("en-GB", "en-US"))
    assert len(offer.voice.language_names) == 2


def test_one_voice_with_a_weight_is_that_voice() -> None:
    assert mixed("af_heart(3)", CATALOG) == CATALOG.find("af_heart")


def test_a_name_not_written_like_a_mix_is_no_mix() -> None:
    assert mixed("nobody", CATALOG) is None
    assert mixed("ryan", CATALOG) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("af_heart(0)+af_bella", "above 0"),
        ("af_heart+ef_dora", "one language"),
        ("ryan(1)+ryan(1)", "each voice once"),
        ("ryan+af_heart", "all of one engine"),
        ("ryan+anna", "all of one engine"),
        ("af_heart+af_bella+bm_george+bm_lewis", "at most 3"),
        ("af_heart(" + "1" * 500, "at most 400 characters"),
    ],
)
def test_an_impossible_mix_is_refused_and_names_the_field_voice(name: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason) as refused:
        mixed(name, CATALOG)
    assert refused.value.fields["field"] == "voice"


def test_an_unknown_voice_in_a_mix_is_named() -> None:
    assert mixed("af_heart(2)+af_belle", CATALOG) is None
    assert unknown("af_heart(2)+af_belle", CATALOG) == "af_belle"
    assert unknown("nobody", CATALOG) == "nobody"
