"""How a mix of voices is written."""

import pytest

from db.voice_mix import PARTS_MAX, MixError, Part, canonical, is_mix, parse


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("af_heart(2)+af_bella(1)", (Part("af_heart", 2.0), Part("af_bella", 1.0))),
        (" af_heart ( 0.5 ) + af_bella ", (Part("af_heart", 0.5), Part("af_bella", 1.0))),
        ("Kokoro Heart+af_sky(100)", (Part("Kokoro Heart", 1.0), Part("af_sky", 100.0))),
        ("af_heart", (Part("af_heart", 1.0),)),
    ],
)
def test_a_mix_is_voices_with_weights(text: str, parts: tuple[Part, ...]) -> None:
    assert parse(text) == parts


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a(0)+b", "above 0"),
        ("a(101)+b", "at most 100"),
        ("a(-1)+b", "is written"),
        ("a(nan)+b", "is written"),
        ("a(1e2)+b", "is written"),
        ("a(1", "is written"),
        ("a(1)(2)", "is written"),
        ("a++b", "is written"),
        ("+", "is written"),
        ("(1)+b", "is written"),
        ("a(1)b+c", "is written"),
        ("a+A", "each voice once"),
        ("+".join(f"v{n}" for n in range(PARTS_MAX + 1)), "at most 8 voices"),
        ("a" * 10_000 + "(", "is written"),
    ],
)
def test_an_invalid_mix_is_refused_with_the_reason(text: str, reason: str) -> None:
    assert is_mix(text)
    with pytest.raises(MixError, match=reason):
        parse(text)


def test_a_mix_has_one_canonical_name_that_parses_to_itself() -> None:
    name = canonical(parse("b + a(2.50)"))
    assert name == "a(2.5)+b(1)" == canonical(parse(name))
    assert canonical(parse("a(7)")) == "a"
    assert not is_mix("af_heart")
