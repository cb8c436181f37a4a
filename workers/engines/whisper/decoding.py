"""One window of a recording through Whisper: from samples to segments, with faster-whisper's components.

faster-whisper's own loops are not used: the batched one loses the part of a window that its decoding leaves
over; the sequential one samples at random where it is in doubt, so its result depends on earlier requests.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from db.storage.transcripts import Segment, Word
from workers.engines.transcriber import TranscriptionOptions
from workers.engines.whisper.voice_activity import RATE_HZ, Samples

_FRAMES_MAX = 3000
# A window need not be padded to 30 s: half of that is a quarter of the work. With less silence after it, or a
# shorter window, Whisper repeats the last sentence again and again, the more so after a prompt.
_PAD_FRAMES, _FRAMES_MIN = 500, 1500
_RATIO_MAX = 2.4  # compressed, repetitive text becomes shorter than this
_LOGPROB_MIN = -1.0
_NO_SPEECH_MAX = 0.6
_BEYOND_S = 1.0  # a time this far after the window's end is invented
_TOKENS_LEAST, _TOKENS_A_S, _TOKENS_MAX = 50, 20, 224
_TIME_STEP_S = 0.02
_FIRST_TIME_MAX = 50  # steps: speech begins within a second
_PREPENDED, _APPENDED = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"


class Found(Struct, frozen=True, kw_only=True):
    """The result of one decoding."""

    tokens: tuple[int, ...]
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    temperature: float
    is_beyond: bool

    @property
    def is_silence(self) -> bool:
        """Whether the window contains no speech, by the model's own estimate."""
        return self.no_speech_prob > _NO_SPEECH_MAX and self.avg_logprob < _LOGPROB_MIN

    @property
    def is_loop(self) -> bool:
        """Whether the text repeats itself."""
        return self.compression_ratio > _RATIO_MAX

    @property
    def is_doubtful(self) -> bool:
        """Whether the model is unsure of the text."""
        return self.is_loop or self.is_beyond or self.avg_logprob < _LOGPROB_MIN


class Piece(Struct, frozen=True, kw_only=True):
    """A window as the model sees it: its features, and the encoder's output."""

    features: NDArray[np.float32]
    encoded: Any
    seconds: float

    @property
    def frames(self) -> int:
        """Its length in frames of the mel spectrogram."""
        return self.features.shape[1]


class WindowDecoder:
    """Decodes the windows of one recording. Requires the turn with the model."""

    def __init__(self, model: Any, tokenizer: Any, options: TranscriptionOptions, *, beam: int) -> None:
        from faster_whisper import transcribe

        suppressed: Any = transcribe.get_suppressed_tokens
        self._model = model
        self._tokenizer = tokenizer
        self._options = options
        self._beam = beam
        self._suppressed = suppressed(tokenizer, [-1])  # annotated as a tuple, but refuses one
        before = tokenizer.encode(f" {options.prompt.strip()}") if options.prompt.strip() else []
        self._prompt = model.get_prompt(tokenizer, before)

    def found(self, piece: Piece, *, may_retry: bool) -> Found:
        """The text of the piece. If in doubt it is decoded again in another way, and the best result is
        taken; nothing is random unless `temperature` asks for it.
        """
        first = self._decoded(piece, piece.encoded, temperature=self._options.temperature, beam=self._beam)
        if not may_retry or first.is_silence or not first.is_doubtful:
            return first
        whole = self._model.encode(_padded(piece.features, _FRAMES_MAX))
        tries = [first, self._decoded(piece, whole, beam=5)]
        if tries[-1].is_doubtful and not tries[-1].is_silence:
            tries.append(self._decoded(piece, whole, beam=5, repetition_penalty=1.1, no_repeat_ngram_size=4))
        sure = [found for found in tries if not (found.is_loop or found.is_beyond)]
        return max(sure or tries, key=lambda found: found.avg_logprob)

    def _decoded(
        self, piece: Piece, encoded: Any, *, temperature: float = 0.0, beam: int, **options: Any
    ) -> Found:
        if temperature:
            options |= {"beam_size": 1, "sampling_topk": 0, "sampling_temperature": temperature}
        else:
            options["beam_size"] = beam
        tokens_max = min(_TOKENS_MAX, _TOKENS_LEAST + round(_TOKENS_A_S * piece.seconds))
        result = self._model.model.generate(
            encoded,
            [self._prompt],
            max_length=min(len(self._prompt) + tokens_max, self._model.max_length),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=self._suppressed,
            max_initial_timestamp_index=_FIRST_TIME_MAX,
            **options,
        )[0]
        return self._judged(piece, result, temperature)

    def _judged(self, piece: Piece, result: Any, temperature: float) -> Found:
        from faster_whisper.transcribe import get_compression_ratio

        tokens = tuple(result.sequences_ids[0])
        times = [token - self._tokenizer.timestamp_begin for token in tokens]
        text = self._tokenizer.decode(tokens).strip()
        return Found(
            tokens=tokens,
            # CTranslate2 divides by the length, Whisper counts the end as a token too.
            avg_logprob=float(result.scores[0]) * len(tokens) / (len(tokens) + 1),
            compression_ratio=float(get_compression_ratio(text)) if text else 0.0,
            no_speech_prob=float(result.no_speech_prob),
            temperature=temperature,
            is_beyond=max(times, default=0) * _TIME_STEP_S > piece.seconds + _BEYOND_S,
        )

    def segments(self, piece: Piece, found: Found) -> list[Segment]:
        """Its sentences, as Whisper divides them. Times are seconds from the piece's beginning, in order and
        within it; ids are all 0.
        """
        parts = list(_parts(found.tokens, self._tokenizer.timestamp_begin, piece.seconds))
        kept = [part for part in parts if self._tokenizer.decode(part["tokens"]).strip()]
        if self._options.words and kept:
            self._model.add_word_timestamps(
                [kept],
                self._tokenizer,
                piece.encoded,
                piece.frames,
                _PREPENDED,
                _APPENDED,
                last_speech_timestamp=0.0,
            )
        made, latest = list[Segment](), 0.0
        for part in kept:
            made.append(self._segment(part, found, latest, piece.seconds))
            latest = made[-1].end
        return made

    def _segment(self, part: dict[str, Any], found: Found, earliest: float, seconds: float) -> Segment:
        words, at = list[Word](), earliest
        for word in part.get("words", ()) if self._options.words else ():
            start, end = _within(word["start"], word["end"], at, seconds)
            words.append(Word(word=str(word["word"]).strip(), start=start, end=end))
            at = end
        start, end = _within(part["start"], part["end"], earliest, seconds)
        return Segment(
            id=0,
            start=min(start, words[0].start) if words else start,
            end=max(end, words[-1].end) if words else end,
            text=self._tokenizer.decode(part["tokens"]).strip(),
            words=tuple(words),
            tokens=tuple(token for token in part["tokens"] if token < self._tokenizer.eot),
            avg_logprob=round(found.avg_logprob, 4),
            compression_ratio=round(found.compression_ratio, 4),
            no_speech_prob=round(found.no_speech_prob, 6),
            temperature=found.temperature,
        )


def piece_of(model: Any, samples: Samples) -> Piece:
    """The samples in the model's format. Requires the turn with the model."""
    sound = samples.astype(np.float32) / 32768
    features: NDArray[np.float32] = model.feature_extractor(sound)[:, :-1][:, :_FRAMES_MAX]
    frames = min(_FRAMES_MAX, max(features.shape[1] + _PAD_FRAMES, _FRAMES_MIN))
    encoded = model.encode(_padded(features, frames))
    return Piece(features=features, encoded=encoded, seconds=len(samples) / RATE_HZ)


def whole_window(model: Any, piece: Piece) -> Piece:
    """The same, padded to the 30 s that Whisper was trained on. Requires the turn with the model."""
    encoded = model.encode(_padded(piece.features, _FRAMES_MAX))
    return Piece(features=piece.features, encoded=encoded, seconds=piece.seconds)


def _padded(features: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    frames += frames % 2  # the encoder halves them
    return np.pad(features, ((0, 0), (0, max(0, min(frames, _FRAMES_MAX) - features.shape[1]))))


def _parts(tokens: Sequence[int], times_from: int, seconds: float) -> Iterator[dict[str, Any]]:
    """The tokens between times: `<0.00> text <2.10><2.10> text <4.02>`. The last time may be missing."""
    start, text = 0.0, list[int]()
    for token in tokens:
        if token < times_from:
            text.append(token)
            continue
        time = (token - times_from) * _TIME_STEP_S
        if text:
            yield {"seek": 0, "start": start, "end": time, "tokens": text}
            text = []
        start = time
    if text:
        yield {"seek": 0, "start": start, "end": seconds, "tokens": text}


def _within(start: Any, end: Any, earliest: float, latest: float) -> tuple[float, float]:
    """Times that are numbers, in order, and inside the audio."""
    begins = min(max(float(start), earliest), latest)
    return round(begins, 2), round(min(max(float(end), begins), latest), 2)
