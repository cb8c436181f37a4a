"""What the platform leaves of a recogniser's speed, in a stack of the benchmark's own.

`platform_ratio`: clips/s through POST /transcribe, a few clients at once, ÷ clips/s of the same engine called
in a loop with samples already decoded; both in turns, in one run, the median of the rounds. `clip_ms_p50`:
one client, from the first byte sent to the transcript. `realtime_factor`: the bare engine's seconds per
second of audio.
"""

import statistics
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.bench import BenchError, Figures, fund
from ops.bench.harness.own_stack import own_stack
from ops.say import ApiClient
from ops.stack.running import Stack
from ops.transcribe import TranscribeError, transcribe
from workers.audio.decoder import DecodeCall, DecodeLimits, Decoder
from workers.audio.encoder import wav_header
from workers.engines.espeak.engine import SAMPLE_RATE_HZ, EspeakEngine
from workers.engines.pocketsphinx.engine import PocketsphinxTranscriber
from workers.engines.protocol import Utterance
from workers.engines.transcriber import TranscriptionOptions

_SENTENCES = (
    "We will meet at the station.",
    "Please turn off the lights.",
    "They bought fresh bread.",
    "The doctor told him to rest.",
)
_ROUNDS = 3
_CLIENTS = 4
_TIMES = 2  # each clip per round


def stt() -> Figures:
    """Run all. Raises BenchError if a clip failed."""
    with TemporaryDirectory() as folder, own_stack(engines="espeak,pocketsphinx") as stack:
        clips = _spoken(Path(folder))
        sounds = _decoded(clips)
        fund(stack, credits=(_ROUNDS + 2) * _TIMES * len(clips))
        bare = PocketsphinxTranscriber()
        try:
            _bare_rate(bare, sounds[:1])  # loads the models
            _platform_rate(stack, clips)
            rounds = [
                (_bare_rate(bare, sounds * _TIMES), _platform_rate(stack, clips * _TIMES))
                for _ in range(_ROUNDS)
            ]
        finally:
            bare.close()
        singles_ms = [1000 * _seconds(stack, clip) for clip in clips]
    audio_s = sum(map(len, sounds)) / len(sounds) / 2 / 16_000
    bare_rate = statistics.median(rate for rate, _ in rounds)
    return {
        "platform_ratio": statistics.median(platform / rate for rate, platform in rounds),
        "bare_clips_per_s": bare_rate,
        "platform_clips_per_s": statistics.median(platform for _, platform in rounds),
        "clip_ms_p50": statistics.median(singles_ms),
        "clip_audio_s": audio_s,
        "realtime_factor": 1 / bare_rate / audio_s,
    }


def _spoken(folder: Path) -> list[Path]:
    """The sentences as WAV files."""
    engine, files = EspeakEngine(), list[Path]()
    try:
        for number, text in enumerate(_SENTENCES):
            utterance = Utterance(job_id=uuid.uuid4(), text=text, voice="espeak-ryan", language="en-US")
            [speech] = engine.begin([utterance])
            pcm = b"".join(speech)
            files.append(folder / f"{number}.wav")
            files[-1].write_bytes(wav_header(len(pcm), SAMPLE_RATE_HZ) + pcm)
    finally:
        engine.close()
    return files


def _decoded(clips: Sequence[Path]) -> list[bytes]:
    decoder, sounds = Decoder(), list[bytes]()
    try:
        for clip in clips:
            with (
                clip.open("rb") as file,
                decoder.decoded(file, DecodeLimits(seconds_max=60), DecodeCall()) as pcm,
            ):
                sounds.append(bytes(pcm.samples))
    finally:
        decoder.close()
    return sounds


def _bare_rate(engine: PocketsphinxTranscriber, sounds: Sequence[bytes]) -> float:
    began, never = time.monotonic(), threading.Event()
    for sound in sounds:
        for _ in engine.transcribe(memoryview(sound), TranscriptionOptions(), never).segments:
            pass
    return len(sounds) / (time.monotonic() - began)


def _platform_rate(stack: Stack, clips: Sequence[Path]) -> float:
    began = time.monotonic()
    with ThreadPoolExecutor(_CLIENTS) as clients:
        list(clients.map(_seconds, [stack] * len(clips), clips))
    return len(clips) / (time.monotonic() - began)


def _seconds(stack: Stack, clip: Path) -> float:
    began = time.monotonic()
    try:
        transcribe(ApiClient(url=stack.url, api_key=stack.api_key), clip, language=None, report=_ignore)
    except TranscribeError as error:
        raise BenchError(str(error)) from None
    return time.monotonic() - began


def _ignore(_line: str) -> None:
    pass
