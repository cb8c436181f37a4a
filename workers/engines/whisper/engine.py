"""Whisper, by faster-whisper and CTranslate2: a hundred languages, on GPU or CPU.

The model is the catalogue's `whisper-base`, or what CODEVOICE_WHISPER_MODEL says: another one of the
catalogue, or a folder in CTranslate2's format. CODEVOICE_WHISPER_DOWNLOAD allows fetching one.
"""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np

from db.storage.transcripts import Segment, Word
from db.types import Capabilities
from workers.engines.protocol import Interrupted
from workers.engines.transcriber import Recognition, TranscriptionOptions
from workers.engines.turns import Turns
from workers.engines.whisper.decoding import Piece, WindowDecoder, piece_of, whole_window
from workers.engines.whisper.model import load
from workers.engines.whisper.voice_activity import RATE_HZ, Samples, Window, windows
from workers.engines.whisper.whisper_languages import NAMES
from workers.settings import WorkerSettings

SECONDS_MAX = 4 * 3600
COST_US_PER_SECOND = 100_000
SLOTS = 4  # a long recording, and short ones that need not wait for its end
BEAM = 2
WINDOW_S = 12.0  # as accurate as 30 s if windows end in pauses, and half the work
_LEFT_OVER_S = 1.0  # of speech after the last timestamp of a window: it is decoded too
_SURE = 0.5  # of the detected language
_RETRIES_LOST_MAX = 8  # of one recording; after that, it gets no more second tries
_DOUBTS_MAX = 10  # warnings per recording
_DESCRIPTION = "Whisper by faster-whisper: {languages}."
_MANY = "{count} languages, told apart by themselves; translates to English"


class WhisperTranscriber:
    """Transcribes recordings window by window, several by turns: the one with the least left goes first.
    Windows without speech are skipped.
    """

    slots = SLOTS

    def __init__(self, settings: WorkerSettings) -> None:
        from faster_whisper.vad import get_vad_model

        self._model = load(settings)
        self._detector = get_vad_model()
        self._turns = Turns()
        self.capabilities = _capabilities(self._model)
        self._warm_up()

    def transcribe(
        self, pcm: memoryview, options: TranscriptionOptions, stopped: threading.Event
    ) -> Recognition:
        """See `Transcriber.transcribe`."""
        began = time.monotonic()
        samples: Samples = np.frombuffer(pcm, dtype="<i2")
        found = windows(samples, self._detector, WINDOW_S, stopped)
        recognition = Recognition(
            language=options.language or self.capabilities.languages[0], segments=iter(())
        )
        recognition.busy_s = time.monotonic() - began
        recording = _Recording(self._model, self._turns, samples, options, stopped, recognition)
        if found:
            first = recording.begin(found)
            recognition.segments = recording.segments(found, first)
        return recognition

    def close(self) -> None:
        """See `Transcriber.close`."""
        self._model.model.unload_model()

    def _warm_up(self) -> None:
        """Allocate memory and choose kernels before the first caller. An error here would fail every job."""
        options = TranscriptionOptions(language=self.capabilities.languages[0])
        quiet = np.zeros(RATE_HZ, np.int16)
        windows(quiet, self._detector, WINDOW_S, threading.Event())
        decoder = WindowDecoder(
            self._model, _tokenizer(self._model, options, options.language), options, beam=BEAM
        )
        decoder.found(piece_of(self._model, quiet), may_retry=False)


class _Recording:
    """One recording being transcribed."""

    def __init__(
        self,
        model: Any,
        turns: Turns,
        samples: Samples,
        options: TranscriptionOptions,
        stopped: threading.Event,
        recognition: Recognition,
    ) -> None:
        self._model = model
        self._turns = turns
        self._samples = samples
        self._options = options
        self._stopped = stopped
        self._recognition = recognition
        self._decoder: WindowDecoder | None = None
        self._retries_lost = 0
        self._language_doubt = ""
        self._doubts = 0

    def begin(self, found: list[Window]) -> Piece:
        """The first window, encoded; it determines the language if the caller has not."""
        with self._turn(_seconds(found)):
            piece = self._piece(found[0].start, found[0].end)
            if self._options.language is None and self._model.model.is_multilingual:
                piece = self._detect_language(piece)
        language = self._recognition.language
        tokenizer = _tokenizer(self._model, self._options, language)
        self._decoder = WindowDecoder(self._model, tokenizer, self._options, beam=BEAM)
        if self._options.translate:
            self._recognition.language = "en"
        return piece

    def segments(self, found: list[Window], first: Piece | None) -> Iterator[Segment]:
        number, latest = 0, 0.0
        for n, window in enumerate(found):
            start: float | None = window.start
            while start is not None:
                with self._turn(_seconds(found[n:])):
                    made, start = self._decoded_from(window, start, first)
                first = None
                for segment in made:
                    segment = _not_before(latest, segment)
                    yield msgspec.structs.replace(segment, id=number)
                    number, latest = number + 1, segment.end
        if number and self._language_doubt:
            self._recognition.warnings.insert(0, self._language_doubt)

    def _detect_language(self, piece: Piece) -> Piece:
        language, probability = _language(self._model, piece)
        if probability < _SURE:
            piece = whole_window(self._model, piece)
            language, probability = _language(self._model, piece)
        if probability < _SURE:
            name = NAMES.get(language, language)
            self._language_doubt = (
                f"The language is not certain ({name}, {probability:.0%}): name it to get better text."
            )
        self._recognition.language = language
        return piece

    def _decoded_from(
        self, window: Window, start: float, piece: Piece | None
    ) -> tuple[list[Segment], float | None]:
        """The segments of a window from a second on; and the second from which it must be decoded again if
        Whisper stopped before the speech did.
        """
        assert self._decoder is not None
        piece = piece or self._piece(start, window.end)
        found = self._decoder.found(piece, may_retry=self._retries_lost < _RETRIES_LOST_MAX)
        self._retries_lost += found.is_doubtful and not found.is_silence
        if found.is_silence or not found.tokens:
            return [], None
        if found.is_loop:
            self._doubt(start, window.end, "was left out: it only repeated itself")
            return [], None
        made = [_later(start, segment) for segment in self._decoder.segments(piece, found)]
        if made and found.is_doubtful:
            self._doubt(start, window.end, "may be wrong: it was hard to make out")
        if not made or window.speech_after(made[-1].end) <= _LEFT_OVER_S or made[-1].end <= start:
            return made, None
        return made, made[-1].end

    def _doubt(self, start: float, end: float, what: str) -> None:
        self._doubts += 1
        if self._doubts <= _DOUBTS_MAX:
            self._recognition.warnings.append(f"The text from {start:.0f} s to {end:.0f} s {what}.")

    def _piece(self, start: float, end: float) -> Piece:
        return piece_of(self._model, self._samples[round(start * RATE_HZ) : round(end * RATE_HZ)])

    @contextmanager
    def _turn(self, left_s: float) -> Generator[None]:
        with self._turns.turn(left_s, self._stopped):
            began = time.monotonic()
            try:
                yield
            except RuntimeError as error:  # CTranslate2's: the device failed, or its memory is full
                raise Interrupted("whisper") from error
            finally:
                self._recognition.busy_s += time.monotonic() - began


def _capabilities(model: Any) -> Capabilities:
    languages: list[str] = sorted(model.supported_languages, key=lambda code: code != "en")
    is_multilingual = bool(model.model.is_multilingual)
    languages_text = _MANY.format(count=len(languages)) if is_multilingual else NAMES[languages[0]]
    return Capabilities(
        engine="whisper",
        kind="transcription",
        sample_rate_hz=RATE_HZ,
        description=_DESCRIPTION.format(languages=languages_text),
        languages=tuple(languages),
        language_names=tuple(NAMES.get(code, code) for code in languages),
        seconds_max=SECONDS_MAX,
        cost_us_per_second=COST_US_PER_SECOND,
        detects_language=is_multilingual,
        translates=is_multilingual,
    )


def _tokenizer(model: Any, options: TranscriptionOptions, language: str | None) -> Any:
    from faster_whisper.tokenizer import Tokenizer

    task = "translate" if options.translate else "transcribe"
    return Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task=task, language=language)


def _language(model: Any, piece: Piece) -> tuple[str, float]:
    token, probability = model.model.detect_language(piece.encoded)[0][0]
    return str(token)[2:-2], float(probability)


def _seconds(found: list[Window]) -> float:
    return sum(window.seconds for window in found)


def _later(seconds: float, segment: Segment) -> Segment:
    def moved(time_s: float) -> float:
        return round(time_s + seconds, 2)

    words = tuple(Word(word=w.word, start=moved(w.start), end=moved(w.end)) for w in segment.words)
    return msgspec.structs.replace(segment, start=moved(segment.start), end=moved(segment.end), words=words)


def _not_before(earliest: float, segment: Segment) -> Segment:
    """Rounding may put a window's first timestamp a hundredth before the last one of the window before."""
    if segment.start >= earliest:
        return segment
    end = max(segment.end, earliest)
    return msgspec.structs.replace(segment, start=earliest, end=end)
