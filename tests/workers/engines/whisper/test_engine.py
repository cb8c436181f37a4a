"""Whisper with real weights (tiny.en): transcripts, audio without speech, and turns between recordings."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import jiwer
import numpy as np
import pytest

from db.storage.transcripts import Segment, join_segments
from tests.sounds import clips
from workers.engines.protocol import Interrupted
from workers.engines.transcriber import Recognition, TranscriptionOptions
from workers.engines.whisper import decoding
from workers.engines.whisper.decoding import WindowDecoder
from workers.engines.whisper.engine import WhisperTranscriber
from workers.settings import WorkerSettings

RATE_HZ = 16_000
PAUSE = bytes(2 * RATE_HZ // 2)
MODEL = "whisper-tiny.en"
NEVER = threading.Event()
WER_MAX = 0.05  # 0 to 1 word in 29


@pytest.fixture(scope="module")
def transcriber(real_model: Callable[..., Path]) -> Iterator[WhisperTranscriber]:
    folder = real_model(MODEL) / MODEL
    with closing(WhisperTranscriber(WorkerSettings(engine="whisper", whisper_model=str(folder)))) as made:
        yield made


def transcribed(
    transcriber: WhisperTranscriber, pcm: bytes, **options: object
) -> tuple[Recognition, list[Segment]]:
    found = transcriber.transcribe(memoryview(pcm), TranscriptionOptions(**options), NEVER)  # type: ignore[arg-type]
    return found, list(found.segments)


def clip(name: str) -> bytes:
    return clips()[name][0][44:]


def recording(times: int) -> tuple[bytes, str]:
    """All clips joined, several times, and the words spoken in them."""
    files = [*clips().values()] * times
    return b"".join(file[44:] + PAUSE for file, _ in files), " ".join(text for _, text in files)


def words(text: str) -> str:
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())


def test_no_sentence_of_a_long_recording_is_lost(transcriber: WhisperTranscriber) -> None:
    pcm, reference = recording(5)
    found, segments = transcribed(transcriber, pcm)
    text = words(join_segments(segments))

    assert jiwer.wer(words(reference), text) <= WER_MAX
    for _, sentence in clips().values():
        assert text.count(words(sentence)[-8:]) >= 4, sentence
    assert [segment.id for segment in segments] == list(range(len(segments)))
    times = [time for segment in segments for time in (segment.start, segment.end)]
    assert times == sorted(times)
    assert times[-1] <= len(pcm) / 2 / RATE_HZ
    assert found.warnings == []
    assert found.busy_s > 0


def test_words_have_times_in_order_within_the_audio(transcriber: WhisperTranscriber) -> None:
    pcm, reference = recording(1)
    _, segments = transcribed(transcriber, pcm, words=True)
    found = [word for segment in segments for word in segment.words]

    assert words(" ".join(word.word for word in found)) == words(join_segments(segments))
    assert abs(len(found) - len(reference.split())) <= 1
    times = [time for word in found for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[-1] <= len(pcm) / 2 / RATE_HZ


def test_segment_figures_are_those_of_the_decoding(transcriber: WhisperTranscriber) -> None:
    _, [segment] = transcribed(transcriber, clip("lights"))
    assert segment.avg_logprob is not None
    assert -1 < segment.avg_logprob < 0
    assert segment.compression_ratio is not None
    assert 0.5 < segment.compression_ratio < 1.5
    assert segment.no_speech_prob is not None
    assert 0 < segment.no_speech_prob < 0.5
    assert len(segment.tokens or ()) >= 5
    assert segment.temperature == 0


def test_equal_audio_gives_equal_text_whatever_was_transcribed_before(
    transcriber: WhisperTranscriber,
) -> None:
    _, first = transcribed(transcriber, clip("doctor"))
    transcribed(transcriber, noise(3))
    transcribed(transcriber, clip("market"), temperature=1.0)
    transcribed(transcriber, clip("station"), prompt="The doctor.")
    assert transcribed(transcriber, clip("doctor"))[1] == first


def test_a_prompt_and_a_temperature_take_effect(transcriber: WhisperTranscriber) -> None:
    _, [plain] = transcribed(transcriber, clip("lights"))
    _, [prompted] = transcribed(transcriber, clip("lights"), prompt="Lights, camera, action.")
    _, [sampled] = transcribed(transcriber, clip("lights"), temperature=0.3)
    assert words(plain.text) == words(prompted.text)
    assert plain.avg_logprob != prompted.avg_logprob
    assert sampled.temperature == 0.3


def noise(seconds: float) -> bytes:
    return (np.random.default_rng(1).standard_normal(round(seconds * RATE_HZ)) * 3000).astype("<i2").tobytes()


def chords(seconds: int) -> bytes:
    time = np.arange(seconds * RATE_HZ) / RATE_HZ
    tones = np.array([(220, 277, 330), (196, 247, 294), (262, 330, 392)])[time.astype(int) % 3]
    loudness = np.exp(-2 * (time % 1))
    waves = sum(np.sin(2 * np.pi * tones[:, n] * k * time) / k for n in range(3) for k in range(1, 5))
    return (waves * loudness * 2500).astype("<i2").tobytes()


@pytest.mark.parametrize(
    "pcm",
    [bytes(2 * 60 * RATE_HZ), noise(60), chords(60), bytes(640), noise(0.02)],
    ids=["a minute of zeros", "a minute of noise", "a minute of chords", "20 ms", "20 ms of noise"],
)
def test_audio_without_speech_has_no_words(transcriber: WhisperTranscriber, pcm: bytes) -> None:
    found, segments = transcribed(transcriber, pcm)
    assert segments == []
    assert (found.language, found.warnings) == ("en", [])


def test_a_transcript_that_loops_is_decoded_again(
    transcriber: WhisperTranscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_PAD_FRAMES", 100)  # with little silence after it Whisper loops
    monkeypatch.setattr(decoding, "_FRAMES_MIN", 0)
    looping = [file[44:] for file, _ in clips().values()]
    prompt = "I am fine. I am fine."
    tries = list[int]()
    decoded = WindowDecoder._decoded  # pyright: ignore[reportPrivateUsage]

    def counted(self: WindowDecoder, *args: object, **options: object) -> object:
        tries.append(1)
        return decoded(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(WindowDecoder, "_decoded", counted)
    for pcm in looping:
        _, segments = transcribed(transcriber, pcm, prompt=prompt)
        assert all((segment.compression_ratio or 0) <= 2.4 for segment in segments)
    assert len(looping) < len(tries) <= 3 * len(looping)


def test_a_cancelled_recording_frees_the_engine_within_a_window(transcriber: WhisperTranscriber) -> None:
    pcm, _ = recording(10)
    stopped = threading.Event()
    found = transcriber.transcribe(memoryview(pcm), TranscriptionOptions(), stopped)
    next(found.segments)
    stopped.set()
    rest = list[Segment]()
    with pytest.raises(Interrupted):
        rest.extend(found.segments)
    assert len(rest) <= 8  # what was decoded of the window already
    assert transcribed(transcriber, clip("lights"))[1]


def test_a_short_recording_does_not_wait_for_a_long_one(transcriber: WhisperTranscriber) -> None:
    pcm, _ = recording(20)
    stopped, under_way, segments = threading.Event(), threading.Event(), list[Segment]()

    def transcribe_all() -> None:
        for segment in transcriber.transcribe(memoryview(pcm), TranscriptionOptions(), stopped).segments:
            segments.append(segment)
            under_way.set()

    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(transcribe_all)
        assert under_way.wait(60)
        assert transcribed(transcriber, clip("lights"))[1]
        assert not long.done()
        stopped.set()
        with pytest.raises(Interrupted):
            long.result()
    assert segments[-1].end < len(pcm) / 2 / RATE_HZ / 2


def test_concurrent_recordings_are_transcribed_as_each_alone(transcriber: WhisperTranscriber) -> None:
    names = ["lights", "doctor", "station", "market"]
    alone = [transcribed(transcriber, clip(name))[1] for name in names]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda name: transcribed(transcriber, clip(name))[1], names))
    assert together == alone
    assert len(list(itertools.chain(*together))) >= 4
