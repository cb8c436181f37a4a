"""Which of an engine's languages is meant by what callers write."""

import pytest

from app.domain.voices.languages import matching, word

TAGS = ("en", "de", "jw", "no", "zh", "haw")
NAMES = ("English", "German", "Javanese", "Norwegian", "Chinese", "Hawaiian")


@pytest.mark.parametrize(
    ("asked", "tag"),
    [
        *(
            ("en", "en"),
            ("EN", "en"),
            ("en-GB", "en"),
            ("en_us", "en"),
            ("english", "en"),
            (" English ", "en"),
        ),
        *(("eng", "en"), ("ger", "de"), ("deu", "de"), ("deu-AT", "de"), ("jv", "jw"), ("nb", "no")),
        *(("cmn", "zh"), ("haw", "haw"), ("hawaiian", "haw"), ("xx", None), ("klingon", None)),
    ],
)
def test_a_tag_three_letters_or_a_name(asked: str, tag: str | None) -> None:
    assert matching(asked, TAGS, NAMES) == tag


def test_a_whole_tag_is_preferred() -> None:
    tags, names = ("en-US", "en-GB"), ("English (United States)", "English (Great Britain)")
    assert matching("en-gb", tags, names) == "en-GB"
    assert matching("eng", tags, names) == matching("english", tags, names) == "en-US"


def test_a_name_is_written_as_openai_does() -> None:
    assert word("English (United States)") == "english"
