"""S1, A5: a process that opens what a customer sends has no secrets to give away, and cannot get any."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stack import Running

from .accounts import Account
from .processes import Process, engine_processes, process_of

LONG = "The quick brown fox jumps over the lazy dog, again and again. " * 1_500


@contextmanager
def watched(worker: int, seen: dict[int, Process]) -> Generator[None]:
    """For the block, record the last seen state of each engine process below the worker."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            seen.update({each.pid: each for each in engine_processes(worker)})

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()


@pytest.fixture(scope="module")
def speaking(target: Running, target_pids: dict[str, int]) -> list[Process]:
    """The processes that spoke a long text: not there before it."""
    worker = target_pids["worker"]
    account, seen = Account(target), dict[int, Process]()
    before = {each.pid for each in engine_processes(worker)}
    with watched(worker, seen):
        job = account.queue(LONG)
        account.ended(job, within_s=120)
    return _certain([each for pid, each in seen.items() if pid not in before])


@pytest.fixture(scope="module")
def listening(
    target: Running, target_pids: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> list[Process]:
    """The processes that opened an uploaded file, and transcribed it."""
    worker = target_pids.get("worker-pocketsphinx-cpu") or 0
    account, seen = Account(target), dict[int, Process]()
    file = tmp_path_factory.mktemp("talk") / "talk.wav"
    job = account.queue("one two three four five six seven eight nine ten")
    account.ended(job)
    file.write_bytes(account.ask("GET", f"/tts/audio/{job}").content)
    with watched(worker, seen):
        _transcribe(account, file)
    return _certain(list(seen.values()))


def _transcribe(account: Account, file: Path) -> None:
    with file.open("rb") as upload:
        answer = account.ask(
            "POST", "/transcribe", files={"file": ("talk.wav", upload, "audio/wav")}, timeout=60
        )
    assert answer.status_code == 200, answer.text


def _certain(found: list[Process]) -> list[Process]:
    assert found, "no engine's process was seen"
    return found


FACTS: dict[str, Callable[[Process], bool]] = {
    "has an empty environment": lambda process: process.environment == b"",
    "can gain no privileges": lambda process: process.no_new_privs,
    "has a filter of system calls": lambda process: process.seccomp == 2,
}


@pytest.mark.parametrize("fact", FACTS)
def test_whoever_speaks_a_customers_text_is_confined(speaking: list[Process], fact: str) -> None:
    assert [(process.command, FACTS[fact](process)) for process in speaking] == [
        (process.command, True) for process in speaking
    ]


@pytest.mark.parametrize("fact", FACTS)
def test_whoever_opens_a_customers_file_is_confined(listening: list[Process], fact: str) -> None:
    assert [(process.command, FACTS[fact](process)) for process in listening] == [
        (process.command, True) for process in listening
    ]


def test_under_root_no_engine_runs_as_root_or_as_nobody(
    speaking: list[Process], listening: list[Process], target_pids: dict[str, int]
) -> None:
    worker = process_of(target_pids["worker"])
    assert worker is not None
    uids = {process.uid for process in speaking + listening}

    assert worker.uid or all(64_001 <= uid <= 64_019 for uid in uids), uids


def test_no_engine_can_read_the_stores_addresses(speaking: list[Process], listening: list[Process]) -> None:
    leaks = {
        name
        for process in speaking + listening
        for name in (b"DATABASE_URL", b"REDIS_URL", b"CODEVOICE_OBJECTS", b"AWS_SECRET")
        if name in process.environment
    }
    assert leaks == set()
