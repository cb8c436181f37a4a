"""What is broken up before an engine sees it, and what is not."""

import sys
import time
import unicodedata
from random import Random
from types import FrameType
from typing import Any

import pytest

from tests.generated import shapes
from tests.generated.scripts import LETTERS
from workers.text.characters import readable
from workers.text.shapes import prepare_text

from .corpus import LONG_SENTENCE, ORDINARY, PROSE


@pytest.mark.parametrize("language", PROSE)
def test_prose_is_not_changed(language: str) -> None:
    assert prepare_text(PROSE[language], language) == PROSE[language]
    long = "\n\n".join([PROSE[language]] * 50)
    assert prepare_text(long, language) == long


@pytest.mark.parametrize(("language", "text"), ORDINARY)
def test_ordinary_abbreviations_numbers_dates_and_symbols_are_not_changed(language: str, text: str) -> None:
    assert prepare_text(text, language) == text


def test_a_long_sentence_without_a_comma_is_not_changed() -> None:
    assert prepare_text(LONG_SENTENCE, "en-GB") == LONG_SENTENCE


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("U.S.A.U.S.A.U.S.A.", "U.S.A.U.S.A, U.S.A."),
        ("a . b . c . d . e . f . g . h . i", "a . b . c . d . e . f, g . h . i"),
        ("i.e. e.g. i.e. e.g. i.e. e.g.", "i.e. e.g. i.e, e.g. i.e. e.g."),
        ("م.ن.ه.و.", "م.ن, ه.و."),  # not the voice's letters
        ("1234567890123456", "123, 456, 789, 012, 345, 6"),
        ("12.34.56.78.90.12.34.56.78.90.12", "12.34.56.78.90.12. 34.56.78.90.12"),
        ("123 456 789 012 345 678", "123 456 789 012, 345 678"),
        ("a" * 25, "aaaaaaaaaaaa aaaaaaaaaaaa a"),
        ("=" * 25, "==========,\n==========,\n====="),
        ("well " + "=" * 25, "well ==========,\n==========,\n====="),
        ("k " * 25, "k k k k k k k k k k,\nk k k k k k k k k k,\nk k k k k "),
        (">" * 25, ">>>>>>>>>>,\n>>>>>>>>>>,\n>>>>>"),
        ("=-" * 12, "=-=-=-=-=- =-=-=-=-=-,\n=-=-"),
        ("k" + "\u0301" * 20, "k" + "\u0301" * 8),
        ("k\u200d\u202e" * 10, "k\u200d\u202e" * 10),
        ("see\x01V and\x02 go\x7f", "see V and  go "),
        ("٣٤ and ３４", "34 and 34"),
    ],
)
def test_an_endless_shape_is_broken_up(text: str, broken: str) -> None:
    assert prepare_text(text, "en-US") == broken


@pytest.mark.parametrize(
    "text", ["お" * 300 + "と" * 40, "9" * 40, "a." * 30, "=" * 90, "⣿ ① ３", "人" * 500]
)
def test_an_engine_without_bounds_gets_the_text_as_it_was_sent(text: str) -> None:
    assert prepare_text(text, "ja", broken_up=False) == text
    assert prepare_text(f"{text}\x01k" + "\u0301" * 20, "ja", broken_up=False) == f"{text} k" + "\u0301" * 8


def test_digits_of_the_readers_own_script_stay() -> None:
    assert prepare_text("١٢٣", "ar") == "١٢٣"
    assert prepare_text("१२३", "hi") == "१२३"
    assert prepare_text("۱۲۳", "ur") == "123"  # espeak's Urdu is silent at them


@pytest.mark.parametrize(
    ("text", "language", "broken"),
    [
        ("nó nói: '-hu'", "vi", "nó nói: ' -hu'"),
        ("`", "vi-VN-x-south", "'"),
        ('("-agtig")', "da", '(" -agtig")'),
        ("`-a`", "en-US", "`-a`"),
        ("|-ﬁ and _-क", "hi", "| -ﬁ and _ -क"),
        ("Ꭹ-Ꭷ'Ꭹ", "vi", "Ꭹ -Ꭷ'Ꭹ"),
        ("nói---rồi 3-á anh-em", "vi", "nói-- -rồi 3-á anh-em"),
        ("á-ल क-ल", "kok", "á -ल क-ल"),
        ("Ꭰôắ हिa", "ml", "Ꭰ ôắ हिa"),
        ("می\u200cرود «\u200cक", "fa", "می\u200cرود « \u200cक"),
        ("Le ⚽ roule. ⚽", "fr-FR", "Le ⚽,\n roule. ⚽"),
        ("© 2026 Empresa", "pt-PT", "©,\n 2026 Empresa"),
        ("© 2026 Empresa", "pt-BR", "© 2026 Empresa"),
        ("ʼ-क", "qu", "ʼ -क"),
        ("[ක]", "si", "[ක)"),
        ("ကး း", "my", "ကး "),
    ],
)
def test_text_that_kills_one_voice_is_rewritten_for_it(text: str, language: str, broken: str) -> None:
    assert prepare_text(text, language) == broken


@pytest.mark.parametrize(
    ("letters", "language", "longest"),
    [
        ("abcdefgh", "en-US", 80),
        ("абвгдежз", "ru", 70),
        ("абвгдежз", "en-US", 24),
        ("กขคง", "th", 30),
        ("कखगघ", "hi", 40),
        ("ＡＢＣＤ", "en-US", 7),
        ("𐌰𐌱𐌲𐌳", "en-US", 7),
        ("😀🚀🍎🏠", "en-US", 10),
    ],
)
def test_a_word_has_no_more_letters_than_an_engine_holds(letters: str, language: str, longest: int) -> None:
    prepared = prepare_text(letters * 500, language)
    words = prepared.replace(",", " ").split()
    assert max(map(len, words)) <= longest
    assert min(map(len, words[:-1])) >= longest // 4
    assert "".join(words) == letters * 500


def test_a_word_is_not_cut_within_a_sign() -> None:
    for sign in ("👩\u200d👩\u200d👧", "🇩🇪", "👍🏽", "की", "क्ष", "เก", "é\u0323"):
        words = prepare_text(sign * 100, "en-US").replace(",", " ").split()
        assert len(words) > 5
        assert {word.replace(sign, "") for word in words} == {""}


@pytest.mark.parametrize(
    "text", ["a " * 3000, "ab-" * 2000, "7 " * 3000, "x1" * 3000, "ж " * 3000, "中" * 3000, "€ " * 3000]
)
def test_a_clause_is_no_longer_than_an_engine_holds(text: str) -> None:
    clauses = prepare_text(text, "en-US").replace(",\n", ", ").split(", ")
    assert max(len(clause.encode()) for clause in clauses) < 720
    assert max(len(clause.split()) for clause in clauses) <= 250


def test_letters_that_are_spelled_out_fill_a_clause_sooner() -> None:
    def longest(text: str, language: str) -> int:
        return max(map(len, prepare_text(text, language).split(",\n")))

    assert longest("Ưạ ẩm " * 100, "vi") > 200 > 80 > longest("Ưạ ẩm " * 100, "ro")
    assert longest("ԵգԳզ " * 100, "hy") < 120 < longest("Եգգզ " * 100, "hy")


def test_lines_that_part_others_stay_and_a_text_of_one_is_broken() -> None:
    line = "=" * 72
    assert prepare_text(f"One.\n{line}\nTwo.", "en-US") == f"One.\n{line}\nTwo."
    assert prepare_text(line, "en-US").count("\n") == 7


@pytest.mark.parametrize("shape", shapes.SHAPES)
def test_nothing_that_is_spoken_is_lost(shape: str) -> None:
    for script in LETTERS:
        text = shapes.text(shape, script, 700, Random(f"{shape} {script}"))
        for language in ("en-US", "ru", "th"):
            assert _spoken(prepare_text(text, language)) == _spoken(text)


def _spoken(text: str) -> str:
    """Letters and digits, the latter of any script, out of their circles."""
    plain = "".join(
        readable(sign, "en-US") if unicodedata.category(sign) in ("No", "So") else sign for sign in text
    )
    return "".join(str(int(sign)) if sign.isdecimal() else sign for sign in plain if sign.isalnum())


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("⣿⣿⣷ 90 %", "    90 %"),
        ("①②③ x⑩y", "1 2 3 x 10 y"),
        ("ⓜⒶ ❷ ⓫ ⒈ ⒜ 🅿 🅱️", "m A 2 11 1. (a) P B\ufe0f"),
        ("🇩🇪", "🇩🇪"),
    ],
)
@pytest.mark.parametrize("language", ["en-US", "tn", "ml"])
def test_braille_is_silent_and_circled_letters_and_digits_are_plain(
    text: str, plain: str, language: str
) -> None:
    assert prepare_text(text, language) == plain


@pytest.mark.parametrize(("language", "is_apart"), [("hi", True), ("en-US", True), ("ar", False)])
def test_a_hyphen_behind_a_symbol_is_apart_from_a_letter_of_another_script(
    language: str, is_apart: bool
) -> None:
    assert prepare_text("see |-ﷂ", language) == ("see | -ﷂ" if is_apart else "see |-ﷂ")


def test_a_hyphen_behind_a_mark_that_may_be_silent_is_apart() -> None:
    """It ended espeak's Vietnamese voice: the mark on a ligature is not spoken."""
    assert prepare_text("ﬁি-t", "vi") == "ﬁি -t"
    assert prepare_text("ﬁ\u0301-t", "vi") == "ﬁ\u0301 -t"
    assert prepare_text("a\u0301-t", "vi") in ("á-t", "a\u0301 -t")
    assert prepare_text("কি-t", "bn") == "কি-t"


@pytest.mark.parametrize("shape", shapes.SHAPES)
def test_the_steps_grow_with_the_text_and_no_faster(shape: str) -> None:
    for script in ("latin", "thai", "gothic"):
        text = shapes.text(shape, script, 4000, Random(f"{shape} {script}"))
        assert _steps(text) < 6 * _steps(text[:1000]) + 2000, script


@pytest.mark.parametrize("piece", ["\U0001f1e9", "\u0e40", "\u200d", "a\u0301", "क्", "."])
def test_the_steps_of_signs_that_are_not_cut_grow_with_the_text_and_no_faster(piece: str) -> None:
    assert _steps(piece * 4000) < 6 * _steps(piece * 1000) + 2000


def _steps(text: str) -> int:
    """Lines of Python that a preparation takes: what loops do, and not how busy the machine is."""
    steps = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal steps
        steps += event == "line"
        return trace

    prepare_text(text, "en-US")  # what is found but once a character
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        prepare_text(text, "en-US")
    finally:
        sys.settrace(before)
    return steps


@pytest.mark.parametrize(
    "piece",
    ["a.", "a . ", "=-", "9", "a\u0301", ". ", " ", "😀", "1.2", "((", "ก", "\u200d", "a.,", "🇩", "...a"],
)
def test_the_time_grows_with_the_text_and_no_faster(piece: str) -> None:
    def seconds(characters: int) -> float:
        began = time.process_time()
        prepare_text((piece * characters)[:characters], "en-US")
        return time.process_time() - began

    assert seconds(80_000) < 40 * max(seconds(8_000), 0.002)


def test_a_word_of_many_scripts_is_parted_between_them_and_no_other_is() -> None:
    assert prepare_text("Ωmega und iPhone-Ωs", "de") == "Ωmega und iPhone-Ωs"
    assert prepare_text("東京タワーのWi-Fi", "ja") == "東京タワーのWi-Fi"
    assert prepare_text("ثனకζཕ", "hi") == "ث ன క ζ ཕ"
