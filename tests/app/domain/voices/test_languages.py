"""Which of an engine's languages a caller's spelling selects."""

import pytest

from app.domain.voices.languages import matching, word

TAGS = ("en", "de", "jw", "no", "zh", "haw")
NAMES = ("English", "German", "Javanese", "Norwegian", "Chinese", "Hawaiian")


@pytest.mark.parametrize(
    ("language", "tag"),
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
def test_a_language_is_matched_by_tag_three_letter_code_or_name(language: str, tag: str | None) -> None:
    assert matching(language, TAGS, NAMES) == tag


def test_a_whole_tag_is_preferred() -> None:
    tags, names = ("en-US", "en-GB"), ("English (United States)", "English (Great Britain)")
    assert matching("en-gb", tags, names) == "en-GB"
    assert matching("eng", tags, names) == matching("english", tags, names) == "en-US"


def test_a_language_name_is_written_as_openai_writes_it() -> None:
    assert word("English (United States)") == "english"
