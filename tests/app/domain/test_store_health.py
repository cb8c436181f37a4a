"""A store that is away, frozen, read-only or full: what needs it is refused in time, and queues nothing."""

import socket
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from tests.app.api.codevoice.test_transcription import EAR
from tests.app.conftest import ENGINE, Person, Run, Say
from tests.app.front import Front
from tests.app.listeners import jobs_of
from tests.clock import unhurried
from tests.conftest import Lack
from tests.sounds import CLIPS
from tests.tmpfs import disk

WITHIN_S = 5.0
HELLO = {"text": "hello", "voice": "ryan", "format": "wav"}
FIRST_AUDIO_S = 30.0
Calls = dict[str, Callable[[], httpx.Response]]


class Stores:
    """URLs of stores that do not work, each in its way."""

    def __init__(self, folder: Path, lack: Lack, stack: ExitStack) -> None:
        self._folder = folder
        self._lack = lack
        self._stack = stack

    def gone(self) -> str:
        """A folder that is taken away once the API runs."""
        return (self._folder / "gone").as_uri()

    def frozen(self) -> str:
        """A bucket whose server takes connections and says nothing."""
        silent = self._stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        return f"s3://bucket?endpoint=http://127.0.0.1:{silent.getsockname()[1]}&access_key_id=a&secret_access_key=b"

    def read_only(self) -> str:
        found = self._stack.enter_context(disk(self._folder / "ro", mib=4, lack=self._lack))
        found.remount(writable=False)
        return found.folder.as_uri()

    def full(self) -> str:
        found = self._stack.enter_context(disk(self._folder / "full", mib=4, lack=self._lack))
        found.fill()
        return found.folder.as_uri()


@pytest.fixture
def stores(tmp_path: Path, lack: Lack) -> Generator[Stores]:
    with ExitStack() as stack:
        yield Stores(tmp_path, lack, stack)


def calls_of(front: Front, person: Person) -> Calls:
    """What needs the store for its answer."""
    sound = (CLIPS / "lights.wav").read_bytes()
    files = {"file": ("a.wav", sound, "audio/wav")}

    def post(path: str, body: object) -> Callable[[], httpx.Response]:
        return lambda: front.call("POST", path, person.key, json=body)

    bearer = {"Authorization": f"Bearer {person.key}"}
    return {
        "whole": post("/api/v1/tts/generate", HELLO),
        "stream": post("/api/v1/tts/generate/stream", HELLO),
        "raw": post("/api/v1/tts/stream", {"text": "hello", "voice": "ryan"}),
        "openai": lambda: front.call(
            "POST",
            "/v1/audio/speech",
            headers=bearer,
            json={"model": "tts-1", "input": "hello", "voice": "ryan"},
        ),
        "elevenlabs": lambda: front.call(
            "POST", "/v1/text-to-speech/ryan", headers={"xi-api-key": person.key}, json={"text": "hello"}
        ),
        "elevenlabs stream": lambda: front.call(
            "POST",
            "/v1/text-to-speech/ryan/stream",
            headers={"xi-api-key": person.key},
            json={"text": "hello"},
        ),
        "sample": lambda: front.call("GET", "/samples/ryan.mp3"),
        "transcript": lambda: front.call("POST", "/transcribe", person.key, files=files),
        "ready": lambda: front.call("GET", "/health/ready"),
    }


Publish = Callable[[], None]


@pytest.fixture
def publish(parrot: WorkerConnection) -> Generator[Publish]:
    """Engines are at work for the next ten seconds: one that would speak, and one that would transcribe."""

    def act() -> None:
        jobs_worker.publish(parrot, ENGINE, worker="w1")
        jobs_worker.publish(parrot, EAR, worker="ear1")

    yield act
    jobs_worker.retire(parrot, engine=EAR.engine, worker="ear1")


@pytest.mark.parametrize("state", ["gone", "frozen", "read_only", "full"])
def test_what_needs_a_store_that_is_away_is_refused_in_time_and_queues_nothing(
    front_with: Run, person: Person, stores: Stores, publish: Publish, state: str
) -> None:
    url = getattr(stores, state)()
    front = front_with(CODEVOICE_OBJECTS=url, CODEVOICE_FIRST_AUDIO_WAIT_S=f"{FIRST_AUDIO_S:g}")
    if state == "gone":
        Path(url.removeprefix("file://")).rmdir()
    calls = calls_of(front, person)
    publish()  # when it is up: a start may take longer than they are believed to be there

    began = time.monotonic()
    with ThreadPoolExecutor(len(calls)) as threads:
        answers = dict(zip(calls, threads.map(lambda call: call(), calls.values()), strict=True))
    took_s = time.monotonic() - began

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(calls, 503)
    assert took_s < unhurried(WITHIN_S)
    assert {"store" in answer.text for name, answer in answers.items() if name != "ready"} == {True}
    assert "objects" in answers["ready"].json()["missing"]
    assert jobs_of(front, person) == []


def test_audio_that_a_frozen_store_keeps_is_refused_in_time(
    front_with: Run, person: Person, stores: Stores, say: Say, end: Callable[[str], None]
) -> None:
    front = front_with(CODEVOICE_OBJECTS=stores.frozen(), CODEVOICE_FIRST_AUDIO_WAIT_S="30")
    job = say(person.key)
    end(job)

    for path in (f"/tts/audio/{job}", f"/tts/stream/{job}"):
        began = time.monotonic()
        answer = front.call("GET", path)
        assert (answer.status_code, answer.json()["detail"]["error"]) == (503, "service_unavailable")
        assert time.monotonic() - began < unhurried(WITHIN_S)


def test_a_job_for_later_does_not_need_the_store_now(
    front_with: Run, person: Person, stores: Stores, publish: Publish
) -> None:
    front = front_with(CODEVOICE_OBJECTS=stores.frozen(), CODEVOICE_FIRST_AUDIO_WAIT_S="30")
    publish()

    assert front.call("POST", "/v1/tts", person.key, json=HELLO).status_code == 200
