"""Kokoro's pure parts: voices, symbols, marks and pieces; which device; what is left out and why."""

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from workers.engines.espeak.espeak_phonemes import Phonemizer
from workers.engines.kokoro.engine import Kokoro, cuda_device
from workers.engines.kokoro.kokoro_voices import BY_TAG, LANGUAGES, Language, lacking, voices
from workers.engines.kokoro.pieces import FIRST_S, LONGEST_S, in_pieces
from workers.engines.kokoro.punctuation import Clause, clauses
from workers.engines.kokoro.symbols import IDS, PHONEMES_MAX, calls, from_ipa
from workers.text.native import is_written_in

LETTERS = {
    "es-ES": "abcdefghijklmnñopqrstuvwxyzáéíóúü",
    "fr-FR": "abcdefghijklmnopqrstuvwxyzàâçéèêëîïôùûœ'",
    "it-IT": "abcdefghijklmnopqrstuvwxyzàèéìòù",
    "pt-BR": "abcdefghijklmnopqrstuvwxyzãâáàçéêíóôõú",
    "hi-IN": "".join(map(chr, range(0x0901, 0x094E))),
}
LEFT_OUT = set("-\u0329\u032a")  # syllabic, dental, a join of two words: the model has no sign for them


def absent(_package: str) -> bool:
    return False


def test_ids_encode_language_and_gender_of_every_voice() -> None:
    found = {voice.id: voice for voice in voices(["jf_alpha", "bm_george", "ff_siwis", "README"], ALL)}
    assert list(found) == ["bm_george", "ff_siwis", "jf_alpha"]
    assert found["bm_george"].languages == ("en-GB",)
    assert [voice.gender for voice in found.values()] == ["male", "female", "female"]
    assert "SIWIS (CC BY)" in found["ff_siwis"].description
    assert "Koniwa (CC BY)" in found["jf_alpha"].description
    assert "CC BY" not in found["bm_george"].description


ALL = list(LANGUAGES.values())


def test_voices_whose_language_lacks_something_are_not_offered() -> None:
    without_japanese = [language for language in ALL if language.tag != "ja-JP"]
    assert [voice.id for voice in voices(["jf_alpha", "zf_xiaoxiao"], without_japanese)] == ["zf_xiaoxiao"]


@pytest.mark.parametrize(
    ("tag", "folders", "needs"),
    [
        ("en-US", (), "the model hibari"),
        ("ja-JP", (), "the model kokoro-ja"),
        ("ja-JP", ("kokoro-ja",), "codevoice[kokoro-ja] (pyopenjtalk, jaconv)"),
        ("zh-CN", (), "codevoice[kokoro-zh] (misaki,"),
        ("es-ES", (), "codevoice[embedded] (espeakng_loader)"),
    ],
)
def test_missing_requirements_of_a_language_are_named(tag: str, folders: tuple[str, ...], needs: str) -> None:
    assert needs in lacking(BY_TAG[tag], folders, absent)


def test_a_language_with_all_it_needs_lacks_nothing() -> None:
    assert lacking(BY_TAG["ja-JP"], ("kokoro-ja",), lambda _package: True) == ""
    assert lacking(BY_TAG["en-GB"], ("hibari",), absent) == ""


@pytest.fixture(scope="module")
def phonemizer() -> Iterator[Phonemizer]:
    phonemizer = Phonemizer()
    yield phonemizer
    phonemizer.close()


@pytest.mark.parametrize("language", [LANGUAGES[letter] for letter in "efhip"], ids=lambda each: each.tag)
def test_espeaks_phonemes_become_symbols_of_the_vocabulary(
    phonemizer: Phonemizer, language: Language
) -> None:
    rng = random.Random(1)
    words = ["".join(rng.choices(LETTERS[language.tag], k=rng.randint(2, 9))) for _ in range(300)]
    for ipa in phonemizer.ipa(language.espeak, words):
        symbols = from_ipa(ipa)
        assert set(symbols) <= set(IDS)
        assert {sign for sign in ipa if sign not in IDS and sign not in "()^ɭ"} <= LEFT_OUT
        assert symbols


def test_digraphs_are_one_symbol_and_language_flags_are_removed() -> None:
    assert from_ipa("t^ʃ a^ɪ d^zː (^e^n)ðə(^f^r) ɐ̃^ʊ̃ ɭ") == "ʧ I ʣː ðə ɐ̃ʊ̃ l"


def test_the_vocabulary_is_kokoros() -> None:
    assert len(IDS) == 114
    assert (IDS[";"], IDS["a"], IDS["ˈ"], IDS["ᵻ"]) == (1, 43, 156, 177)


def test_no_call_exceeds_the_phoneme_limit() -> None:
    long = ("ab, cd " * 200).strip()
    parts = list(calls(long))
    assert all(len(part) <= PHONEMES_MAX for part in parts)
    assert "".join(parts).replace(" ", "") == long.replace(" ", "")
    assert all(part.endswith((",", "d")) for part in parts)
    assert [len(part) for part in calls("a" * 1100)] == [510, 510, 80]


def test_marks_end_clauses_but_not_numbers_and_titles() -> None:
    assert clauses("¿Qué, 12,50 a las 10:30? Sí… «no», dijo el Sr. Díaz.") == [
        Clause("¿Qué,", ","),
        Clause("12,50 a las 10:30?", "?"),
        Clause("Sí…", "…"),
        Clause("«no»,", ","),
        Clause("dijo el Sr. Díaz.", "."),
    ]
    assert clauses("राम है। यह") == [Clause("राम है।", "."), Clause("यह", "")]
    assert clauses("...") == [Clause("...", "…")]
    assert clauses(" ") == []


LONG = "Good morning and welcome to our little station where the trains are late and the coffee is cold."


def test_the_first_piece_of_a_live_job_is_short_and_ends_at_a_clause() -> None:
    assert list(in_pieces(LONG, "en-US", 1.0, live=True)) == [
        "Good morning and welcome to our little station",
        "where the trains are late and the coffee is cold.",
    ]
    assert list(in_pieces(LONG, "en-US", 1.0, live=False)) == [LONG]


def test_slower_speech_has_shorter_pieces() -> None:
    first, *_ = in_pieces(LONG, "en-US", 0.5, live=True)
    assert first == "Good morning"


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hi. How are you? " + LONG * 5, "en-US"),
        ("x" * 3000, "en-US"),
        ("a\u0301" * 900, "es-ES"),
        ("明日の会議は午後三時から東京駅の近くにある新しいビルで行われる予定です" * 9, "ja-JP"),
        ("我们明天下午三点在北京西站附近的咖啡馆见面，" * 20, "zh-CN"),
        ("! ? " * 500, "fr-FR"),
        ("\n\n \n", "en-US"),
    ],
)
def test_pieces_lose_nothing(text: str, language: str, live: bool) -> None:
    pieces = list(in_pieces(text, language, 1.0, live=live))
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(piece.strip() for piece in pieces)
    assert all(len(piece) <= 400 for piece in pieces)


def test_pieces_grow_no_faster_than_they_are_spoken() -> None:
    assert FIRST_S < LONGEST_S
    lengths = [len(piece) for piece in in_pieces("word " * 300, "en-US", 1.0, live=True)]
    assert all(after <= 1.6 * before for before, after in pairwise(lengths))


@pytest.mark.parametrize(
    ("text", "language", "is_written"),
    [
        ("Привет, как дела?", "en-US", False),
        ("Hello, Привет Владимир", "es-ES", False),
        ("He said Привет to everybody in the room", "en-US", True),
        ("नमस्ते", "hi-IN", True),
        ("नमस्ते", "es-ES", False),
        ("今日はPythonを使う", "ja-JP", True),
        ("こんにちは", "zh-CN", False),
        ("123", "fr-FR", True),
    ],
)
def test_a_text_must_be_written_as_the_voice_can_read(text: str, language: str, is_written: bool) -> None:
    assert is_written_in(text, language) is is_written


def test_a_gpu_is_used_where_onnxruntime_has_cuda() -> None:
    cpu, both = ["CPUExecutionProvider"], ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert cuda_device("cuda:1", "3", lambda: both) == "3"
    assert cuda_device("cuda:1", "3", lambda: cpu) is None
    assert cuda_device("cpu", "", lambda: pytest.fail("not asked")) is None


def test_the_gpu_has_one_child_without_forking_and_its_own_profile(tmp_path: Path) -> None:
    gpu = Kokoro(tmp_path, idle_s=600, cuda="0")
    assert (gpu.program.kind, gpu.children) == ("cuda", 1)
    assert Kokoro(tmp_path, idle_s=600).program.kind == "kokoro"


def test_onnxruntimes_providers_follow_the_device() -> None:
    from workers.engines.kokoro.kokoro_model import providers  # late: it loads onnxruntime

    both = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert providers(both, None) == ["CPUExecutionProvider"]
    assert providers(both, "0") == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    with pytest.raises(ValueError, match="onnxruntime-gpu"):
        providers(["CPUExecutionProvider"], "0")
