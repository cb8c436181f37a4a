"""A store that is unavailable, frozen, read-only or full: requests that need it are refused in time."""

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
from tests.app.api.codevoice.test_transcription import TRANSCRIBER
from tests.app.api_process import ApiProcess
from tests.app.conftest import ENGINE, Person, Run, Say
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
        """A bucket whose server accepts connections and never responds."""
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


def calls_of(api: ApiProcess, person: Person) -> Calls:
    """Calls that need the store for their response."""
    sound = (CLIPS / "lights.wav").read_bytes()
    files = {"file": ("a.wav", sound, "audio/wav")}

    def post(path: str, body: object) -> Callable[[], httpx.Response]:
        return lambda: api.call("POST", path, person.key, json=body)

    bearer = {"Authorization": f"Bearer {person.key}"}
    return {
        "whole": post("/api/v1/tts/generate", HELLO),
        "stream": post("/api/v1/tts/generate/stream", HELLO),
        "raw": post("/api/v1/tts/stream", {"text": "hello", "voice": "ryan"}),
        "openai": lambda: api.call(
            "POST",
            "/v1/audio/speech",
            headers=bearer,
            json={"model": "tts-1", "input": "hello", "voice": "ryan"},
        ),
        "elevenlabs": lambda: api.call(
            "POST", "/v1/text-to-speech/ryan", headers={"xi-api-key": person.key}, json={"text": "hello"}
        ),
        "elevenlabs stream": lambda: api.call(
            "POST",
            "/v1/text-to-speech/ryan/stream",
            headers={"xi-api-key": person.key},
            json={"text": "hello"},
        ),
        "sample": lambda: api.call("GET", "/samples/ryan.mp3"),
        "transcript": lambda: api.call("POST", "/transcribe", person.key, files=files),
        "ready": lambda: api.call("GET", "/health/ready"),
    }


Publish = Callable[[], None]


@pytest.fixture
def publish(parrot: WorkerConnection) -> Generator[Publish]:
    """Publishes a speech engine and a transcription engine, available for the next ten seconds."""

    def act() -> None:
        jobs_worker.publish(parrot, ENGINE, worker="w1")
        jobs_worker.publish(parrot, TRANSCRIBER, worker="transcriber1")

    yield act
    jobs_worker.retire(parrot, engine=TRANSCRIBER.engine, worker="transcriber1")


@pytest.mark.parametrize("state", ["gone", "frozen", "read_only", "full"])
def test_requests_that_need_an_unavailable_store_are_refused_in_time_and_queue_nothing(
    api_with: Run, person: Person, stores: Stores, publish: Publish, state: str
) -> None:
    url = getattr(stores, state)()
    api = api_with(CODEVOICE_OBJECTS=url, CODEVOICE_FIRST_AUDIO_WAIT_S=f"{FIRST_AUDIO_S:g}")
    if state == "gone":
        Path(url.removeprefix("file://")).rmdir()
    calls = calls_of(api, person)
    publish()  # after the start, which may take longer than the engines count as available

    began = time.monotonic()
    with ThreadPoolExecutor(len(calls)) as threads:
        answers = dict(zip(calls, threads.map(lambda call: call(), calls.values()), strict=True))
    took_s = time.monotonic() - began

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(calls, 503)
    assert took_s < unhurried(WITHIN_S)
    assert {"store" in answer.text for name, answer in answers.items() if name != "ready"} == {True}
    assert "objects" in answers["ready"].json()["missing"]
    assert jobs_of(api, person) == []


def test_audio_in_a_frozen_store_is_refused_in_time(
    api_with: Run, person: Person, stores: Stores, say: Say, end: Callable[[str], None]
) -> None:
    api = api_with(CODEVOICE_OBJECTS=stores.frozen(), CODEVOICE_FIRST_AUDIO_WAIT_S="30")
    job = say(person.key)
    end(job)

    for path in (f"/tts/audio/{job}", f"/tts/stream/{job}"):
        began = time.monotonic()
        answer = api.call("GET", path)
        assert (answer.status_code, answer.json()["detail"]["error"]) == (503, "service_unavailable")
        assert time.monotonic() - began < unhurried(WITHIN_S)


def test_queueing_a_job_does_not_need_the_store(
    api_with: Run, person: Person, stores: Stores, publish: Publish
) -> None:
    api = api_with(CODEVOICE_OBJECTS=stores.frozen(), CODEVOICE_FIRST_AUDIO_WAIT_S="30")
    publish()

    assert api.call("POST", "/v1/tts", person.key, json=HELLO).status_code == 200
