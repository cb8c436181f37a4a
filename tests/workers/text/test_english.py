"""English text as hibari reads it, and texts in pieces for the neural engines."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engines.neural.text import in_pieces, unwrapped
from workers.text.english import is_english_script, readable_english


@pytest.mark.parametrize(
    "text",
    [
        "Good morning.",
        "",
        "12 % — 😀",
        "Łódź, São Paulo, naïve ﬁsh, Ｆｕｌｌ ｗｉｄｔｈ",
        "The Greek word λόγος means word, speech and reason.",
        "They greet each other with 你好 in the morning.",
    ],
)
def test_a_text_with_few_foreign_letters_is_english(text: str) -> None:
    assert is_english_script(text)


@pytest.mark.parametrize(
    "text", ["你好", "Привет, как дела?", "नमस्ते", "مرحبا بالعالم", "OK, 今日は良い天気です"]
)
def test_a_text_of_another_script_is_not_english(text: str) -> None:
    assert not is_english_script(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Plain, ordinary text: 12 % of it.", "Plain, ordinary text: 12 % of it."),
        ("café naïve", "café naïve"),
        ("ﬁsh Ｆｕｌｌ", "fish Full"),
        ("say 你好 now", "say    now"),
        ("[hello](/həlˈO/) there", "[hello] (/həlˈO/) there"),
        ("x" * 45, f"{'x' * 20} {'x' * 20} {'x' * 5}"),
        ("internationalisation", "internationalisation"),
        ("😀🎉", "grinning face, party popper,"),
        ("👍\ufe0f🏽 ok", "👍\ufe0f🏽 ok"),
        ("...!?", ""),
    ],
)
def test_text_that_would_be_dropped_or_misread_is_rewritten(text: str, read: str) -> None:
    assert readable_english(text) == read


def cut(text: str, *, first_max: int = 300) -> list[str]:
    return list(in_pieces(text, "en-US", characters_max=300, first_max=first_max, joined_max=120))


def test_the_first_sentence_is_a_piece_and_short_ones_after_it_are_joined() -> None:
    assert cut("Yes. No. Maybe. It is as it is.") == ["Yes.", "No. Maybe. It is as it is."]


def test_the_first_piece_may_have_more_than_a_sentence() -> None:
    how = {"characters_max": 300, "first_max": 300, "joined_max": 10, "first_joined_max": 15}
    assert list(in_pieces("Yes. No. Maybe. It is.", "en-US", **how)) == ["Yes. No. Maybe.", "It is."]


def test_a_long_first_sentence_begins_with_its_first_clauses() -> None:
    clause = "it was the age of wisdom, "
    first, *rest = cut("It was the best of times, " + clause * 20, first_max=60)
    assert first == "It was the best of times, it was the age of wisdom,"
    assert all(len(piece) <= 300 for piece in rest)
    assert len(rest) == 2


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("ab.,! \nÉ你1"), max_size=900))
def test_nothing_is_lost_or_twice_and_no_piece_is_too_long(text: str) -> None:
    pieces = cut(text, first_max=50)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(0 < len(piece) <= 300 for piece in pieces)
    assert all(len(piece) <= 50 for piece in pieces[:1])


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("broken\nwithin a sentence", "broken within a sentence"),
        ("a line that was full, because an editor broke it there\nJohn went on", None),
        ("A heading\nThe text", "A heading\nThe text"),
        ("One.\nTwo.", "One.\nTwo."),
        ("a paragraph\n\nanother", "a paragraph\n\nanother"),
        ("- one\n- two", "- one\n- two"),
    ],
)
def test_lines_broken_within_a_sentence_are_joined(text: str, whole: str | None) -> None:
    assert unwrapped(text) == (text.replace("\n", " ") if whole is None else whole)


def test_a_piece_of_digits_takes_no_longer_to_say_than_one_of_words() -> None:
    found = list(in_pieces("99999999999 " * 100, "en-US", characters_max=300, first_max=300, joined_max=120))
    assert max(map(len, found)) <= 60
    assert "".join(found).count("9") == 1100
