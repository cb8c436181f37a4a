"""Numbers as words: in every language XTTS speaks, and never where digits are part of a name."""

import pytest

from workers.text.numbers import spell

XTTS = [
    "en",
    "es",
    "fr",
    "de",
    "it",
    "pt",
    "pl",
    "tr",
    "ru",
    "nl",
    "cs",
    "ar",
    "zh-cn",
    "ja",
    "hu",
    "ko",
    "hi",
]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I have 3 cats.", "I have three cats."),
        ("1,250 people", "one thousand two hundred fifty people"),
        ("1250", "one thousand two hundred fifty"),
        ("3.14 is close", "three point one four is close"),
        ("It was -7 (or -2.5)", "It was minus seven (or minus two point five)"),
        ("pages 10-12", "pages ten-twelve"),
        ("at 12:30", "at twelve:thirty"),
        ("version 1.2.3", "version one.two.three"),
        ("agent 007", "agent zero zero seven"),
        ("1" * 16, " ".join(["one"] * 16)),
        ("an mp3, the 1st, 5kg, 1.5kg", "an mp3, the 1st, 5kg, 1.5kg"),
        ("Ends with 5.", "Ends with five."),
        ("5, 6", "five, six"),
        ("2,50 or 1,250,000.5", "two point five zero or one million two hundred fifty thousand point five"),
        ("٣ cats", "three cats"),
        ("no numbers", "no numbers"),
    ],
)
def test_english(text: str, words: str) -> None:
    assert spell(text, "en-US") == words


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("de", "1.250 Katzen, 3,5 Hunde", "eintausendzweihundertfünfzig Katzen, drei Komma fünf Hunde"),
        ("de-DE", "3.5", "drei Komma fünf"),
        ("fr", "12 500 euros", "douze mille cinq cents euros"),
        ("en", "in 12 500 people", "in twelve five hundred people"),
        ("ru", "3,5 и -2", "три запятая пять и минус два"),
        ("zh-cn", "我有3个和1.5个", "我有三个和一点五个"),
        ("ja", "3匹のmp3", "三匹のmp3"),
        ("nb", "21", "tjueén"),
        ("xx", "21", "21"),
        ("sw", "1,5", "moja,tano"),
    ],
)
def test_other_languages(language: str, text: str, words: str) -> None:
    assert spell(text, language) == words


@pytest.mark.parametrize("language", XTTS)
def test_every_language_of_xtts_spells_every_kind_of_number(language: str) -> None:
    spelled = spell("0 21 1250 1000000 3.5 -3 007 12345678901234567890", language)
    assert not any(letter.isdigit() and letter not in "〇" for letter in spelled)
    assert "\u00ad" not in spelled
