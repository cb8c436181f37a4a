"""Whisper by its real loading path, with random weights: the text is noise, the result's shape is not."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from db.settings import SettingsError
from tests.sounds import clips
from workers.engines.registry import TRANSCRIBERS
from workers.engines.transcriber import TranscriptionOptions
from workers.engines.whisper.model import load
from workers.settings import WorkerSettings

RECIPE = Path(__file__).with_name("tiny_whisper.py")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as CTranslate2's converter leaves it."""
    folder = tmp_path_factory.mktemp("whisper")
    environ = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, RECIPE, folder], check=True, env=environ, timeout=170)
    return folder / "ct2"


def test_a_recording_becomes_segments_with_words(model: Path) -> None:
    settings = WorkerSettings(engine="whisper", whisper_model=str(model), whisper_compute_type="int8")
    engine = TRANSCRIBERS["whisper"](settings)
    pcm, never = clips()["lights"][0][44:], threading.Event()
    try:
        known = engine.capabilities
        recognition = engine.transcribe(
            memoryview(pcm), TranscriptionOptions(language="en", words=True), never
        )
        segments = list(recognition.segments)
        silence = list(
            engine.transcribe(memoryview(bytes(64_000)), TranscriptionOptions(language="en"), never).segments
        )
        detected = engine.transcribe(memoryview(pcm), TranscriptionOptions(), never).language
    finally:
        engine.close()

    assert (known.detects_language, known.translates, known.languages[0]) == (True, True, "en")
    assert (len(known.languages), len(known.language_names)) == (100, 100)
    assert (recognition.language, silence) == ("en", [])
    assert detected in known.languages
    assert [segment.id for segment in segments] == list(range(len(segments)))
    json.dumps([[segment.start, segment.end] for segment in segments])  # numpy's floats would not go


def test_without_a_model_the_error_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEVOICE_MODELS", str(tmp_path))
    with pytest.raises(SettingsError, match="CODEVOICE_WHISPER_MODEL: the model whisper-base is not in"):
        TRANSCRIBERS["whisper"](WorkerSettings(engine="whisper"))
    with pytest.raises(SettingsError, match="CODEVOICE_WHISPER_DOWNLOAD"):
        TRANSCRIBERS["whisper"](WorkerSettings(engine="whisper", whisper_model="tiny-of-mine"))


@pytest.mark.parametrize("missing", ["config.json", "model.bin", "tokenizer.json", "vocabulary.json"])
def test_a_folder_that_is_not_whole_is_refused_by_the_name_of_the_file(tmp_path: Path, missing: str) -> None:
    for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.json"):
        if name != missing:
            (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(SettingsError, match=f"^CODEVOICE_WHISPER_MODEL: .* has no {missing}$"):
        load(WorkerSettings(engine="whisper", whisper_model=str(tmp_path)))


def test_a_device_and_a_compute_type_that_are_not_there_are_named(tmp_path: Path) -> None:
    for name in ("config.json", "model.bin", "tokenizer.json", "vocabulary.json"):
        (tmp_path / name).write_bytes(b"{}")
    settings = WorkerSettings(engine="whisper", whisper_model=str(tmp_path))
    with pytest.raises(SettingsError, match=r"CODEVOICE_WHISPER_COMPUTE_TYPE: cpu has .*int8.*, not int3$"):
        load(msgspec.structs.replace(settings, whisper_compute_type="int3"))
    with pytest.raises(SettingsError, match="CODEVOICE_WHISPER_MODEL: the model does not load: "):
        load(settings)
