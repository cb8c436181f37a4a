"""What the model is given: cleaned, short enough, ended by punctuation."""

import pytest

from workers.xtts.text import LANGUAGES, Texts, cleaned, finished


def test_quotes_are_not_read_and_every_piece_ends() -> None:
    assert cleaned('“Hello”, she said: "stay"', "en") == "Hello, she said: stay"
    assert finished("stay,", "en") == "stay."
    assert finished("really?", "en") == "really?"
    assert finished("你好", "zh") == "你好。"


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_no_piece_is_beyond_what_the_model_takes(model: object, texts: Texts, language: str) -> None:
    if language not in texts.languages():
        assert language in ("zh-CN", "ja")  # a library each, which may be missing
        return
    pieces = texts.pieces("Anna 3 oder 4, " * 60 + "x" * 700, language, "v")
    assert len(pieces) > 3
    assert all(0 < len(piece.text) <= texts._text_tokens_max for piece in pieces)
    assert len({piece.seed for piece in pieces}) == len(pieces)


@pytest.mark.parametrize("hostile", ["9" * 400, "1st ½ ٣ 1.2.3 $5", "\x00\x07 a", "\ud800 a", "é̀" * 300])
@pytest.mark.parametrize("language", ["en", "es", "ru", "hi"])
def test_no_text_breaks_the_tokenizer(texts: Texts, language: str, hostile: str) -> None:
    assert texts.pieces(hostile, language, "v")


@pytest.mark.parametrize("nothing", ["", "  ", "“”", "...", "?!"])
def test_a_text_without_words_has_no_pieces(texts: Texts, nothing: str) -> None:
    assert texts.pieces(nothing, "en", "v") == []


def test_the_longest_a_piece_may_sound_grows_with_its_letters(texts: Texts) -> None:
    short, long = (texts.pieces(text, "en", "v")[0].cap for text in ("Yes.", "Yes, " * 30 + "yes."))
    assert short < 60 < long <= 602


def test_the_same_words_have_the_same_seed_and_others_not(texts: Texts) -> None:
    seeds = [texts.pieces(*what)[0].seed for what in (("a", "en", "v"), ("a", "en", "v"), ("a", "en", "w"))]
    assert seeds[0] == seeds[1] != seeds[2]
