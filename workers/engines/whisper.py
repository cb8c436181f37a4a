"""Whisper, by faster-whisper and CTranslate2: a hundred languages, on GPU or CPU, with an operator's weights.

The model is a folder in CTranslate2's format (CODEVOICE_WHISPER_MODEL). Nothing is downloaded unless
CODEVOICE_WHISPER_DOWNLOAD says so.
"""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from db.rows import Capabilities
from db.settings import SettingsError
from db.transcripts import Segment, Word
from workers.engines import Interrupted
from workers.engines.transcriber import Heard, Wish
from workers.engines.whisper_languages import NAMES
from workers.settings import WorkerSettings

SECONDS_MAX = 4 * 3600
COST_US_PER_SECOND = 50_000
_DESCRIPTION = (
    "Whisper by faster-whisper: {count} languages, told apart by themselves; translates to English."
)


class WhisperTranscriber:
    """Windows of a recording are heard in batches; silence between them is left out (VAD)."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._model = _load(settings)
        self._pipeline = _pipeline(self._model)
        self._batch = settings.whisper_batch
        languages: list[str] = sorted(self._model.supported_languages, key=lambda code: code != "en")
        is_multilingual = bool(self._model.model.is_multilingual)
        self.capabilities = Capabilities(
            engine="whisper",
            kind="transcription",
            voices=(),
            sample_rate_hz=16_000,
            formats=(),
            characters_max=0,
            cost_us_per_character=0,
            description=_DESCRIPTION.format(count=len(languages)),
            languages=tuple(languages),
            language_names=tuple(NAMES.get(code, code) for code in languages),
            seconds_max=SECONDS_MAX,
            cost_us_per_second=COST_US_PER_SECOND,
            detects_language=is_multilingual,
            translates=is_multilingual,
        )

    def transcribe(self, pcm: memoryview, wish: Wish, stopped: threading.Event) -> Heard:
        import numpy as np

        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768
        try:
            segments, info = self._pipeline.transcribe(
                samples,
                language=wish.language,
                task="translate" if wish.translate else "transcribe",
                word_timestamps=wish.words,
                without_timestamps=False,
                vad_filter=True,
                batch_size=self._batch,
            )
        except RuntimeError as error:  # CTranslate2's: the device failed, or its memory is full
            raise Interrupted("whisper") from error
        language = "en" if wish.translate else str(info.language)
        return Heard(language, _segments(segments, wish, stopped))

    def close(self) -> None:
        self._model.model.unload_model()


def _load(settings: WorkerSettings) -> Any:
    if not settings.whisper_model:
        raise SettingsError("CODEVOICE_WHISPER_MODEL: name the folder of a Whisper model for CTranslate2")
    is_folder = Path(settings.whisper_model).is_dir()
    if not is_folder and not settings.whisper_download:
        raise SettingsError(
            f"CODEVOICE_WHISPER_MODEL: there is no folder {settings.whisper_model};"
            " CODEVOICE_WHISPER_DOWNLOAD=true would look for a model of that name"
        )
    try:
        from faster_whisper import WhisperModel
    except ModuleNotFoundError:
        raise SettingsError("CODEVOICE_ENGINE: whisper needs codevoice[whisper]") from None
    try:
        return WhisperModel(
            settings.whisper_model,
            device="cpu" if settings.device == "cpu" else "cuda",
            compute_type=settings.whisper_compute_type,
            cpu_threads=settings.whisper_threads,
            local_files_only=not settings.whisper_download,
        )
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise SettingsError(f"CODEVOICE_WHISPER_MODEL: the model does not load: {reason}") from error


def _pipeline(model: Any) -> Any:
    from faster_whisper import BatchedInferencePipeline

    return BatchedInferencePipeline(model=model)


def _segments(found: Iterable[Any], wish: Wish, stopped: threading.Event) -> Iterator[Segment]:
    try:
        for number, segment in enumerate(found):
            if stopped.is_set():
                raise Interrupted("closed")
            yield _segment(number, segment, wish)
    except RuntimeError as error:
        raise Interrupted("whisper") from error


def _segment(number: int, segment: Any, wish: Wish) -> Segment:
    words = (segment.words or ()) if wish.words else ()
    return Segment(
        id=number,
        start=_seconds(segment.start),
        end=_seconds(segment.end),
        text=str(segment.text).strip(),
        words=tuple(
            Word(word=str(word.word).strip(), start=_seconds(word.start), end=_seconds(word.end))
            for word in words
        ),
    )


def _seconds(time: Any) -> float:
    """numpy's floats are not JSON's."""
    return round(float(time), 2)
