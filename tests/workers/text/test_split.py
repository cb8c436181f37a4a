"""Long text in pieces that fit: sentences first, nothing lost, nothing empty, whatever is thrown at it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.text.split import split

SENTENCES = {  # three in each
    "en": "Dr. Smith paid $3.50. Did he? He did!",
    "es": "Hola, ¿qué tal? Muy bien. Adiós.",
    "fr": "Bonjour à tous. Ça va ? Très bien !",
    "de": "Es ist ca. 3 Uhr. Wirklich? Ja!",
    "it": "Ciao a tutti. Come stai? Bene!",
    "pt": "Olá a todos. Tudo bem? Sim!",
    "pl": "Dzień dobry. Jak się masz? Dobrze!",
    "tr": "Merhaba dünya. Nasılsın? İyiyim!",
    "ru": "Привет, мир. Как дела? Хорошо!",
    "nl": "Hallo wereld. Hoe gaat het? Goed!",
    "cs": "Ahoj světe. Jak se máš? Dobře!",
    "ar": "مرحبا بالعالم. كيف حالك؟ بخير!",
    "zh-cn": "你好世界。你好吗？我很好！",
    "ja": "こんにちは世界。元気ですか？はい！",
    "hu": "Helló világ. Hogy vagy? Jól!",
    "ko": "안녕하세요 여러분. 잘 지내세요? 네!",
    "hi": "नमस्ते दुनिया। आप कैसे हैं? ठीक!",
}


def bare(text: str) -> str:
    return "".join(text.split())


def up_to(characters: int):
    return lambda piece: len(piece) <= characters


@pytest.mark.parametrize("language", SENTENCES)
def test_sentences_are_kept_whole(language: str) -> None:
    text = SENTENCES[language]
    longest = max(len(piece) for piece in split(text, language=language, fits=up_to(len(text) * 2 // 3)))
    pieces = split(text, language=language, fits=up_to(longest))
    assert bare("".join(pieces)) == bare(text)
    assert all(piece[-1] in ".!?。！？।؟" for piece in pieces)
    assert len(pieces) >= 2


def test_a_text_that_fits_stays_one_piece() -> None:
    assert split("  One. Two.\nThree. ", language="en", fits=up_to(100)) == ["One. Two.\nThree."]


def test_sentences_are_packed_while_they_fit() -> None:
    assert split("One. Two. Three. Four.", language="en", fits=up_to(10)) == ["One. Two.", "Three.", "Four."]


def test_a_long_sentence_is_cut_at_its_clauses_then_words_then_letters() -> None:
    text = "First this, then that and something else; Donaudampfschifffahrt. End."
    pieces = split(text, language="en", fits=up_to(16))
    assert pieces == [
        "First this,",
        "then that and",
        "something else;",
        "Donaudampfschiff",
        "fahrt.",
        "End.",
    ]


def test_chinese_without_spaces_is_cut_at_its_commas() -> None:
    assert split("今天天气很好，我们去公园，好吗？", language="zh", fits=up_to(8)) == [
        "今天天气很好，",
        "我们去公园，",
        "好吗？",
    ]


def test_marks_stay_with_their_letters() -> None:
    pieces = split("e\u0301" * 10, language="en", fits=up_to(3))
    assert pieces == ["e\u0301"] * 10
    family = "👩\u200d👩\u200d👧"
    assert split(family * 3, language="en", fits=up_to(5)) == [family] * 3


def test_punctuation_is_never_a_piece_of_its_own() -> None:
    assert split("Wait. … !!! Go. ...", language="en", fits=up_to(14)) == ["Wait. … !!!", "Go. ..."]


@given(st.text(max_size=200), st.integers(1, 40))
def test_nothing_is_lost_and_all_fits(text: str, characters: int) -> None:
    pieces = split(text, language="en", fits=up_to(characters))
    assert bare("".join(pieces)) == bare(text)
    assert all(piece.strip() == piece and piece for piece in pieces)


@given(st.text(alphabet="ab ,.\n", max_size=200), st.integers(1, 40))
def test_plain_text_always_fits(text: str, characters: int) -> None:
    assert all(len(piece) <= characters for piece in split(text, language="en", fits=up_to(characters)))


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "a " * 50_000, "a, " * 33_000, ".\n" * 50_000, "Hi. " * 25_000]
)
def test_the_longest_text_is_split_quickly(text: str) -> None:
    began = time.process_time()
    pieces = split(text, language="en", fits=up_to(200))
    assert time.process_time() - began < 2
    assert bare("".join(pieces)) == bare(text)
