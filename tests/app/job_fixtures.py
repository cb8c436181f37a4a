"""Jobs in tests: queued by a client, claimed and ended as a worker would."""

import io
import uuid
from collections.abc import Callable
from hashlib import sha256

import pytest

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.redis import live_audio
from db.storage.objects import Objects
from db.types import Finished, Outcome
from tests.app.api_process import PASSWORD as PASSWORD
from tests.app.api_process import ApiProcess
from tests.app.published_engine import ENGINE as ENGINE
from tests.app.published_engine import voice as voice
from tests.app.transcription_worker import beside as beside
from tests.app.transcription_worker import finish as finish
from tests.app.transcription_worker import transcription_engine as transcription_engine

AUDIO = bytes(range(256)) * 40
Say = Callable[..., str]


@pytest.fixture(scope="session")
def say(api: ApiProcess) -> Say:
    """Queues speech; the job's id."""

    def say(key: str, **fields: object) -> str:
        answer = api.call("POST", "/v1/tts", key, json={"text": "hello", "voice": "ryan", **fields})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["job_id"])

    return say


Take = Callable[[str], int]


@pytest.fixture(scope="session")
def take(parrot: WorkerConnection) -> Take:
    """Claims one job, handing back whatever else was queued; its attempt."""

    def take(job_id: str) -> int:
        claimed = jobs_worker.claim(
            parrot, engine="parrot", lane=None, mixed=True, limit=10_000, worker="w1", lease_s=60
        )
        others = [
            Finished(id=job.id, attempt=job.attempt, outcome="hand_back")
            for job in claimed
            if str(job.id) != job_id
        ]
        jobs_worker.finish(parrot, others, worker="w1", tries_max=3, keep_s=3600)
        (attempt,) = [job.attempt for job in claimed if str(job.id) == job_id]
        return attempt

    return take


End = Callable[..., None]


@pytest.fixture(scope="session")
def end(parrot: WorkerConnection, take: Take, store: Objects, redis_url: str) -> End:
    """Ends a job as a worker does: with AUDIO by default, or with another outcome."""
    redis = live_audio.connect(redis_url)

    def end(
        job_id: str,
        outcome: Outcome = "done",
        *,
        code: str | None = None,
        audio: bytes = AUDIO,
        content_type: str = "audio/wav",
        attempt: int | None = None,
        keep_s: int = 3600,
    ) -> None:
        attempt = take(job_id) if attempt is None else attempt
        key = f"jobs/{job_id}/{attempt}.wav"
        ended = Finished(id=uuid.UUID(job_id), attempt=attempt, outcome=outcome, code=code)
        if outcome == "done":
            store.put(key, io.BytesIO(audio))
            ended = Finished(
                id=uuid.UUID(job_id),
                attempt=attempt,
                outcome="done",
                object=key,
                content_type=content_type,
                audio_bytes=len(audio),
                duration_ms=1234,
                sha256=sha256(audio).digest(),
            )
        jobs_worker.finish(parrot, [ended], worker="w1", tries_max=3, keep_s=keep_s)
        redis.publish(live_audio.DONE, live_audio.done_message(ended.id, "completed"))

    return end
