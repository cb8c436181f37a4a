"""A transcription engine published without a worker: the test ends its jobs."""

import io
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.storage.objects import Objects
from db.storage.transcripts import Segment, Transcript
from db.types import Capabilities, Claimed, Finished, TranscriptionParams
from tests.app.api_process import ApiProcess
from tests.sounds import wav

TRANSCRIBER = Capabilities(
    engine="transcriber",
    kind="transcription",
    voices=(),
    sample_rate_hz=16_000,
    formats=(),
    characters_max=0,
    cost_us_per_character=0,
    languages=("en", "de"),
    language_names=("English", "German"),
    seconds_max=3600,
)
CLIP = wav(bytes(3200))
TRANSCRIPT = Transcript(
    text="good morning",
    language="en",
    duration=1.5,
    segments=(
        Segment(
            id=0,
            start=0.1,
            end=1.2,
            text="good morning",
            tokens=(40, 41),
            temperature=0.4,
            avg_logprob=-0.25,
            compression_ratio=0.6,
            no_speech_prob=0.01,
        ),
    ),
    engine="transcriber",
)


@pytest.fixture
def transcription_engine(parrot: WorkerConnection) -> Generator[None]:
    """A transcription engine is published until the test has ended."""
    jobs_worker.publish(parrot, TRANSCRIBER, worker="transcriber1")
    yield
    jobs_worker.retire(parrot, engine="transcriber", worker="transcriber1")


Finish = Callable[..., Claimed]


@pytest.fixture
def finish(parrot: WorkerConnection, store: Objects) -> Finish:
    """Waits for one job and ends it: with TRANSCRIPT, or refused with a code."""

    def end(code: str | None = None) -> Claimed:
        job = claimed(parrot)
        done = Finished(id=job.id, attempt=job.attempt, outcome="refuse" if code else "done", code=code)
        if not code:
            body = msgspec.json.encode(TRANSCRIPT)
            key = f"jobs/{job.id}/{job.attempt}.json"
            store.put(key, io.BytesIO(body))
            done = msgspec.structs.replace(
                done, object=key, audio_bytes=len(body), sha256=sha256(body).digest()
            )
        jobs_worker.finish(parrot, [done], worker="transcriber1", tries_max=3, keep_s=3600)
        return job

    return end


def claimed(connection: WorkerConnection) -> Claimed:
    claim = partial(
        jobs_worker.claim, connection, engine="transcriber", params=TranscriptionParams, lane=None, mixed=True
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := claim(limit=1, worker="transcriber1", lease_s=60):
            return found[0]
        time.sleep(0.01)
    waiting = connection.execute("SELECT engine, state, lane FROM cv.job WHERE state <> 'done'").fetchall()
    raise AssertionError(f"no job came; there are {waiting}")


@pytest.fixture
def beside() -> Generator[Callable[..., Any]]:
    """Runs a request while the test goes on."""
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


def send(api: ApiProcess, key: str, content: bytes = CLIP, *, again: str = "", **fields: str) -> Any:
    headers = {"Idempotency-Key": again} if again else {}
    files = {"file": ("a", content)}
    return api.call("POST", "/transcribe", key, files=files, data=fields, headers=headers)


def left(api: ApiProcess, key: str) -> int:
    return api.call("GET", "/api/auth/me", key).json()["credits"]["total_remaining"]
