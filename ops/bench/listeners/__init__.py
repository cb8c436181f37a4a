"""How many can listen at once, in a stack of the benchmark's own; the load generator on the same cores.

A gap is the time a player that started at the first byte has an empty buffer; one of more than 200 ms counts.
Texts are all different. Figures, of requests for raw samples by POST /v1/audio/speech:

idle_first_byte_ms_p50_VOICE    one request after the other, a first sentence of at most 100 characters
arrivals_…                      10 requests a second, of 80 to 120 characters, independent of each other
held_N_…                        N streams of 1,500 characters begun at once
beside_…                        16 such streams while a ten-minute file is transcribed and two long jobs of a
                                slower voice run; `beside_jobs_at_start`: how many of these three ran then

…_refused, …_broken             responses other than 200, and streams cut off
…_first_byte_ms_p50, p95, max   from the moment a request was due to be sent
…_worst_gap_ms, …_with_gap      the longest gap of all, and how many streams had one that counts
…_gaps_ms_max                   all gaps of a stream together, the largest such sum
…_generator_cpu_percent         of one core, the generator's own
…_cpu_ms_per_audio_s            CPU of the whole stack: hardly affected by what else runs on the machine
…_seconds, …_audio_s            until the last byte, and how much audio that was
"""

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import msgspec
import numpy as np
import psycopg
import rich_click as click
import soxr

from ops.bench import BenchError, Figures, fund, percentile
from ops.bench.harness.cpu import family_s
from ops.bench.harness.own_stack import own_stack
from ops.bench.harness.posting import Poster, engines_ready, ready
from ops.bench.listeners.crowd import Crowd, Received, ScheduledRequest
from ops.bench.listeners.player import Playback, played
from ops.bench.listeners.texts import long_text, short_text
from ops.bench.voices.speaking import BYTES_PER_S, RATE_HZ, speak, speech_request
from ops.say import ApiClient
from ops.stack.running import Stack
from ops.transcribe import TranscribeError, transcribe
from workers.audio.encoder import wav_header

_ENGINES = "hibari,espeak,whisper,kokoro"
_VOICE, _SLOW_VOICE = "Emma", "ryan"
_IDLE_REQUESTS = {_VOICE: 20, _SLOW_VOICE: 7}
_ARRIVALS_PER_S, _ARRIVALS_S = 10, 20
_HELD = (100, 180)
_BESIDE_STREAMS = 16
_SLOW_JOBS = 2
_BESIDE_JOBS = _SLOW_JOBS + 1  # and the file's
_FILE_S, _FILE_RATE_HZ = 590, 16_000
_SLOW_JOB_CHARACTERS = 3_000
_GAP_S_MAX = 0.2
_STREAM_S_MAX = 400.0
_BEGUN_S_MAX = 30


def listeners(*, held: Sequence[int] = (), engines: str = _ENGINES) -> Figures:
    """Run all parts; `held`: numbers of streams in place of 100 and 180. Raises BenchError if a voice or the
    file's transcription fails; refused and broken streams are counted.
    """
    held = held or _HELD
    most = str(2 * max(*held, 256))  # a stream that has ended is counted for a moment longer
    limits = {"CODEVOICE_STREAMS_MAX": most, "CODEVOICE_ACCOUNT_STREAMS_MAX": most}
    with own_stack(engines=engines, **limits) as stack:
        engines_ready(stack, engines.split(","))
        fund(stack, credits=1_000_000)
        figures: Figures = {}
        for part in _parts(stack, held):
            click.echo("\n".join(f"{name} {value:g}" for name, value in part.items()), err=True)
            figures |= part
    return figures


def _parts(stack: Stack, held: Sequence[int]) -> Iterator[Figures]:
    for voice, requests in _IDLE_REQUESTS.items():
        ready(stack, voice)
        yield {f"idle_first_byte_ms_p50_{voice.lower()}": _idle_ms(stack, voice, requests)}
    yield _measured(stack, "arrivals", lambda: _arrivals(stack))
    for streams in held:
        yield _measured(stack, f"held_{streams}", lambda n=streams: _held(stack, n, seed=n * 1000))
    yield _beside(stack)


def _idle_ms(stack: Stack, voice: str, requests: int) -> float:
    speak(stack, "This one is not counted.", voice)
    return 1000 * statistics.median(
        speak(stack, short_text(number), voice).first_sound_s for number in range(requests)
    )


def _arrivals(stack: Stack) -> Received:
    wishes = [
        ScheduledRequest(
            after_s=number / _ARRIVALS_PER_S, request=speech_request(stack, short_text(1000 + number), _VOICE)
        )
        for number in range(_ARRIVALS_PER_S * _ARRIVALS_S)
    ]
    return _gathered(stack, wishes)


def _held(stack: Stack, streams: int, *, seed: int) -> Received:
    texts = [long_text(seed + number) for number in range(streams)]
    return _gathered(
        stack, [ScheduledRequest(after_s=0, request=speech_request(stack, text, _VOICE)) for text in texts]
    )


def _gathered(stack: Stack, wishes: list[ScheduledRequest]) -> Received:
    place = urlsplit(stack.url)
    crowd = Crowd(host=place.hostname or "", port=place.port or 0, wishes=wishes, seconds_max=_STREAM_S_MAX)
    program = [sys.executable, "-m", "ops.bench.listeners.crowd"]
    done = subprocess.run(program, input=msgspec.json.encode(crowd), capture_output=True, check=False)
    if done.returncode:
        raise BenchError(f"the load generator failed: {done.stderr.decode(errors='replace')[-300:]}")
    return msgspec.json.decode(done.stdout, type=Received)


def _measured(stack: Stack, name: str, part: Callable[[], Received]) -> Figures:
    before_s = family_s(stack.pids["supervisor"])
    received = part()
    cpu_s = family_s(stack.pids["supervisor"]) - before_s
    figures = figures_of(received)
    figures["cpu_ms_per_audio_s"] = 1000 * cpu_s / figures["audio_s"] if figures["audio_s"] else inf
    return {f"{name}_{figure}": value for figure, value in figures.items()}


def figures_of(received: Received) -> Figures:
    """The figures of a crowd; a stream that was refused or cut off has no gaps, and is counted as such."""
    good = [stream for stream in received.streams if stream.status == 200]
    whole = [stream for stream in good if stream.is_whole and stream.arrivals]
    playbacks = [played(stream.arrivals, BYTES_PER_S) for stream in whole]
    waits_ms = [
        1000 * (playback.first_at_s - stream.wanted_at_s)
        for stream, playback in zip(whole, playbacks, strict=True)
    ]
    return {
        "streams": len(received.streams),
        "refused": len(received.streams) - len(good),
        "broken": len(good) - len(whole),
        "first_byte_ms_p50": percentile(waits_ms, 50),
        "first_byte_ms_p95": percentile(waits_ms, 95),
        "first_byte_ms_max": percentile(waits_ms, 100),
        **_gaps(playbacks),
        "seconds": received.seconds,
        "audio_s": sum(each.audio_s for each in playbacks),
        "generator_cpu_percent": 100 * received.cpu_s / received.seconds,
    }


def _gaps(playbacks: Sequence[Playback]) -> Figures:
    return {
        "worst_gap_ms": 1000 * max((each.worst_gap_s for each in playbacks), default=inf),
        "gaps_ms_max": 1000 * max((each.gaps_s for each in playbacks), default=inf),
        "with_gap": sum(each.worst_gap_s > _GAP_S_MAX for each in playbacks),
    }


def _beside(stack: Stack) -> Figures:
    with TemporaryDirectory(prefix="codevoice-bench-") as folder:
        file = _long_file(stack, Path(folder))
        with Poster(stack) as poster:
            for number in range(_SLOW_JOBS):
                text = long_text(9_000 + number, characters=_SLOW_JOB_CHARACTERS)
                poster.post(text, _SLOW_VOICE)
        with _transcribed(stack, file) as took_s, psycopg.connect(stack.database_url, autocommit=True) as db:
            at_start = _running(db)
            figures = _measured(stack, "beside", lambda: _held(stack, _BESIDE_STREAMS, seed=5_000))
            at_end = _running(db, wait_s=0)
    jobs: Figures = {
        "beside_jobs_at_start": at_start,
        "beside_jobs_at_end": at_end,
        "beside_transcription_s": took_s[0],
    }
    return figures | jobs


def _long_file(stack: Stack, folder: Path) -> Path:
    """Ten minutes of speech, all but some seconds, as a WAV file small enough to be uploaded."""
    pcm = b""
    for number in range(60):
        pcm += speak(stack, long_text(7_000 + number), _VOICE).pcm
        if len(pcm) >= _FILE_S * BYTES_PER_S:
            break
    samples = np.frombuffer(pcm[: _FILE_S * BYTES_PER_S], "<i2")
    at_16_khz = soxr.resample(samples, RATE_HZ, _FILE_RATE_HZ).astype("<i2").tobytes()
    file = folder / "ten-minutes.wav"
    file.write_bytes(wav_header(len(at_16_khz), _FILE_RATE_HZ) + at_16_khz)
    return file


@contextmanager
def _transcribed(stack: Stack, file: Path) -> Generator[list[float]]:
    """Transcribe `file` during the block and wait for it; yields its seconds. Raises BenchError."""
    sent, took_s, failed = threading.Event(), list[float](), list[str]()

    def report(line: str) -> None:
        if line == "transcribing":
            sent.set()

    def run() -> None:
        began = time.monotonic()
        try:
            transcribe(ApiClient(url=stack.url, api_key=stack.api_key), file, language="en", report=report)
        except TranscribeError as error:
            failed.append(str(error))
        took_s.append(time.monotonic() - began)
        sent.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        sent.wait()
        yield took_s
    finally:
        thread.join()
    if failed:
        raise BenchError(f"the file was not transcribed: {failed[0]}")


def _running(db: psycopg.Connection, *, wait_s: float = _BEGUN_S_MAX) -> int:
    """The number of jobs being processed; waits until the file and the two jobs are."""
    deadline = time.monotonic() + wait_s
    while True:
        row = db.execute("SELECT count(*)::int FROM cv.job WHERE state = 'processing'").fetchone()
        running = row[0] if row else 0
        if running >= _BESIDE_JOBS or time.monotonic() >= deadline:
            return running
        time.sleep(0.2)
