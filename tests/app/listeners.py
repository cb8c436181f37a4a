"""Clients that stream live audio and disconnect at will, and a fake worker that publishes it in chunks."""

import http.client
import json
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx
import pytest

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.redis import live_audio
from db.redis.live_audio import End as Ending
from db.redis.live_audio import LiveAttempt
from db.types import Finished
from tests.app.api_process import ApiProcess

from .conftest import End, Person, Take

WHOLE, STREAM = "/api/v1/tts/generate", "/api/v1/tts/generate/stream"
HELLO = {"text": "hello", "voice": "ryan", "format": "wav"}
Answering = Callable[..., Future[httpx.Response]]


@pytest.fixture
def answering(api: ApiProcess, person: Person) -> Generator[Answering]:
    """Sends a request for speech, and does not wait for the answer."""
    with ThreadPoolExecutor(8) as threads:

        def send(path: str = WHOLE, on: ApiProcess = api, **headers: str) -> Future[httpx.Response]:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return threads.submit(on.call, "POST", path, person.key, json=HELLO, headers=named)

        yield send


def until(act: Callable[[], Any], seconds: float = 30) -> Any:
    """What `act` finds, once it finds something."""
    deadline = time.monotonic() + seconds
    while not (found := act()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)
    return found


def jobs_of(api: ApiProcess, person: Person, status: str = "queued") -> list[str]:
    found = api.call("GET", "/v1/jobs", person.key, params={"status": status}).json()["jobs"]
    return [job["job_id"] for job in found]


def the_job(api: ApiProcess, person: Person, status: str = "queued") -> str:
    (found,) = until(lambda: jobs_of(api, person, status))
    return found


def credits_of(api: ApiProcess, person: Person) -> tuple[int, int]:
    """(left, held)"""
    found = api.call("GET", "/api/auth/me", person.key).json()["credits"]
    return found["total_remaining"], found["held"]


class FakeWorker:
    """A worker's side of live audio, published chunk by chunk."""

    def __init__(self, redis_url: str, worker: WorkerConnection, take: Take, end: End) -> None:
        self._redis = live_audio.connect(redis_url)
        self._worker = worker
        self._take = take
        self._finish = end
        self._attempts: dict[str, int] = {}

    def say(self, job: str, *audio: bytes) -> None:
        begins = job not in self._attempts
        if begins:
            self._attempts[job] = self._take(job)
        with self._redis.pipeline() as pipeline:
            for n, part in enumerate(audio):
                is_first = begins and n == 0
                live_audio.append(
                    pipeline, self._live(job), live_audio.Chunk(part, 1), keep_s=60, is_first=is_first
                )
            pipeline.execute()

    def drop(self, job: str) -> None:
        """Deletes the stream, as Redis does when its memory runs out."""
        assert self._redis.delete(self._live(job).key) == 1

    def stop(self, job: str, ending: Any, **fields: Any) -> None:
        with self._redis.pipeline() as pipeline:
            live_audio.end(pipeline, self._live(job), Ending(ending=ending, **fields))
            pipeline.execute()

    def again(self, job: str) -> None:
        """The attempt is handed back; another is to follow."""
        lost = Finished(id=UUID(job), attempt=self._attempts.pop(job), outcome="hand_back")
        jobs_worker.finish(self._worker, [lost], worker="w1", tries_max=3, keep_s=60)

    def complete(self, job: str, audio: bytes) -> None:
        self._finish(job, audio=audio, attempt=self._attempts[job])

    def _live(self, job: str) -> LiveAttempt:
        return LiveAttempt(UUID(job), self._attempts[job])


@pytest.fixture
def fake_worker(redis_url: str, parrot: WorkerConnection, take: Take, end: End) -> FakeWorker:
    return FakeWorker(redis_url, parrot, take, end)


class Listener:
    """A client on its own socket, which reads and disconnects at will."""

    def __init__(self, api: ApiProcess, person: Person, path: str = STREAM, **headers: str) -> None:
        self._connection = http.client.HTTPConnection(*api.address, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"X-API-Key": person.key, "Content-Type": "application/json", **named}
        method, body = ("POST", json.dumps(HELLO)) if path in (STREAM, WHOLE) else ("GET", None)
        self._connection.request(method, path, body, sent)
        self._answer: http.client.HTTPResponse | None = None

    @property
    def answer(self) -> http.client.HTTPResponse:
        if self._answer is None:
            self._answer = self._connection.getresponse()
        return self._answer

    def read(self, length: int) -> bytes:
        return self.answer.read(length)

    def leave(self) -> None:
        if self._answer is not None:
            self._answer.close()
        self._connection.close()


Listen = Callable[..., Listener]


@pytest.fixture
def listen(api: ApiProcess, person: Person) -> Generator[Listen]:
    """Opens listeners; those still connected disconnect at the end."""
    made: list[Listener] = []

    def listen(path: str = STREAM, on: ApiProcess = api, **headers: str) -> Listener:
        made.append(Listener(on, person, path, **headers))
        return made[-1]

    yield listen
    for listener in made:
        listener.leave()
