"""Faults in mid-stream: a stream is whole or cut, never short; nothing is lost and credits are exact."""

import os
import signal
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from msgspec import Struct

from ops.bench.harness.paced_engine import VOICE
from ops.bench.harness.pattern_engine import ENGINE, file_of
from tests.e2e.clients.programs import download, poll
from tests.e2e.conftest import Stack
from tests.e2e.faults.test_faults import started_again
from tests.e2e.test_answers import settled

CHUNKS = 20  # 0.1 s each: less than a worker's drain
MANY_CHUNKS = 50  # more than the API's
LISTENERS = 6
Act = Callable[[], None]


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """A stack whose engine speaks in real time: after the first byte it is in mid-stream."""
    home = tmp_path_factory.mktemp("slow")
    started = Stack(home, CODEVOICE_ENGINES=ENGINE, CODEVOICE_LEASE_S="2")
    yield started
    started.stop()


class Received(Struct, frozen=True):
    """What one listener received. `is_whole`: the stream had its end."""

    text: str
    job: str
    audio: bytes
    is_whole: bool


def streams_during(stack: Stack, act: Act, *, chunks: int = CHUNKS, keyed: bool = False) -> list[Received]:
    """Streams that had all begun when `act` was done, each to its end."""
    with ThreadPoolExecutor(LISTENERS) as threads:
        begun = list(threads.map(lambda n: _begun(stack, n, chunks, keyed=keyed), range(LISTENERS)))
        act()
        return list(threads.map(_ended, begun))


def _begun(
    stack: Stack, number: int, chunks: int, *, keyed: bool
) -> tuple[str, requests.Response, Iterator[bytes]]:
    text = f"{chunks} chunks for {number} at {time.monotonic()}"
    headers = {**stack.headers, **({"Idempotency-Key": text} if keyed else {})}
    body = {"text": text, "voice": VOICE, "format": "mp3"}
    url = f"{stack.url}/api/v1/tts/generate/stream"
    answer = requests.post(url, json=body, headers=headers, stream=True, timeout=60)
    assert answer.status_code == 200, answer.text
    audio = answer.iter_content(None)
    return text, answer, _again(next(audio), audio)


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _ended(begun: tuple[str, requests.Response, Iterator[bytes]]) -> Received:
    text, answer, chunks = begun
    audio, is_whole = b"", True
    try:
        for chunk in chunks:
            audio += chunk
    except (requests.exceptions.ChunkedEncodingError, requests.ConnectionError):
        is_whole = False
    return Received(text, answer.headers["X-Job-ID"], audio, is_whole)


def cut(received: list[Received]) -> list[Received]:
    """The listeners whose stream was cut with an error; asserts that every received byte is right."""
    for each in received:
        made = file_of(each.text, "mp3")
        assert made == each.audio if each.is_whole else made.startswith(each.audio)
    return [each for each in received if not each.is_whole]


def test_a_stopping_worker_finishes_its_streams(slow: Stack) -> None:
    before = slow.credits()["total_remaining"]
    pid = slow.env()["pids"]["worker"]
    received = streams_during(slow, lambda: os.kill(pid, signal.SIGTERM))
    started_again(slow, "worker", pid)

    assert cut(received) == []
    assert before - settled(slow)["total_remaining"] == LISTENERS


def test_streams_of_a_killed_worker_end_in_an_error_and_are_free(slow: Stack) -> None:
    before = slow.credits()["total_remaining"]
    pid = slow.env()["pids"]["worker"]
    received = streams_during(slow, lambda: os.kill(pid, signal.SIGKILL), chunks=MANY_CHUNKS)
    started_again(slow, "worker", pid)

    assert cut(received) == received
    assert {poll(slow, each.job)["status"] for each in received} == {"failed"}
    assert settled(slow)["total_remaining"] == before


def test_streams_cut_by_a_stopping_api_are_free(slow: Stack) -> None:
    before = slow.credits()["total_remaining"]
    pid = slow.env()["pids"]["api"]
    received = streams_during(slow, lambda: os.kill(pid, signal.SIGTERM), chunks=MANY_CHUNKS)
    started_again(slow, "api", pid)
    after = settled(slow)["total_remaining"]

    assert cut(received)
    assert before - after == LISTENERS - len(cut(received))


def test_jobs_with_an_idempotency_key_continue_when_the_api_stops(slow: Stack) -> None:
    before = slow.credits()["total_remaining"]
    pid = slow.env()["pids"]["api"]
    received = streams_during(slow, lambda: os.kill(pid, signal.SIGTERM), chunks=MANY_CHUNKS, keyed=True)
    started_again(slow, "api", pid)

    assert cut(received)
    assert all(download(slow, poll(slow, each.job)) == file_of(each.text, "mp3") for each in received)
    assert before - settled(slow)["total_remaining"] == LISTENERS


def test_streams_end_in_an_error_and_are_free_when_the_store_is_lost(slow: Stack) -> None:
    before = slow.credits()["total_remaining"]
    with _without_store(slow) as take_away:
        received = streams_during(slow, take_away, chunks=MANY_CHUNKS)
    after = settled(slow)

    assert cut(received) == received
    assert after["total_remaining"] == before
    assert poll(slow, slow.speak("3 chunks", VOICE))["status"] == "completed"  # the store is back


@contextmanager
def _without_store(stack: Stack) -> Generator[Act]:
    """Yields a function that replaces the store's folder with a file; the folder is restored at the end."""
    folder = Path(urlsplit(stack.env()["objects"]).path)
    aside = folder.with_name("aside")

    def take_away() -> None:
        folder.rename(aside)
        folder.touch()

    try:
        yield take_away
    finally:
        if aside.exists():
            folder.unlink(missing_ok=True)
            aside.rename(folder)


def test_cut_streams_leave_the_ledger_clean(slow: Stack) -> None:
    assert slow.audit_is_clean()
