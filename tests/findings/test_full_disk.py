"""No. 2 of the second report: a disk that was full under the whole stack stops nothing for good."""

import os
import signal
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
import requests

from tests.clock import unhurried
from tests.conftest import Lack
from tests.stack import Stack
from tests.tmpfs import Disk, disk

from .accounts import Account
from .conftest import PROGRAM
from .processes import children, process_of

LIVES = 7  # of Postgres, one after the other: a supervisor that gives up has done so after the sixth
_MIB = 320


@pytest.fixture
def small(tmp_path: Path, lack: Lack) -> Generator[Disk]:
    with disk(tmp_path / "disk", mib=_MIB, lack=lack) as found:
        yield found


def until(act: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + unhurried(seconds)
    while not act():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


class Lives:
    """How many processes a supervisor has started as Postgres."""

    def __init__(self, supervisor: int) -> None:
        self._supervisor = supervisor
        self._seen: set[int] = set()

    def count(self) -> int:
        """The number seen so far; call it repeatedly."""
        self.now()
        return len(self._seen)

    def now(self) -> list[int]:
        """Those that are alive."""
        found = {pid: process_of(pid) for pid in children(self._supervisor)}
        alive = [pid for pid, seen in found.items() if seen is not None and "/postgres " in seen.command]
        self._seen.update(alive)
        return alive


def end(owner_url: str, lives: Lives) -> None:
    """Request a checkpoint, which cannot be written: Postgres terminates itself.

    A Postgres that accepts no connection, since it cannot write its files, is killed, as by an operator.
    """
    try:
        with psycopg.connect(owner_url, autocommit=True, connect_timeout=2) as owner:
            owner.execute("SET statement_timeout = '2s'")
            owner.execute("CHECKPOINT")
    except psycopg.Error:
        for pid in lives.now():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_everything_recovers_after_the_disk_was_full(small: Disk) -> None:
    stack = Stack(small.folder / "home", PROGRAM, CODEVOICE_TRUSTED_PROXIES="127.0.0.1")
    try:
        owner_url, lives = stack.env()["database_owner_url"], Lives(stack.process.pid)
        account = Account(stack)
        before = account.ended(account.queue("Before the disk was full."))

        def is_lost() -> bool:
            """What Postgres gives back when it recovers is taken, too."""
            small.fill()
            end(owner_url, lives)
            return stack.process.poll() is not None or lives.count() >= LIVES

        until(is_lost, 40)
        assert stack.process.poll() is None, "the stack gave up"
        refused = requests.get(f"{stack.url}/v1/jobs", headers=account.headers, timeout=30)
        small.free()

        until(lambda: requests.get(f"{stack.url}/health/ready", timeout=30).status_code == 200, 60)
        after = account.ended(account.queue("And after it."))
        assert (before["status"], refused.status_code, after["status"]) == ("completed", 503, "completed")
        assert stack.audit_is_clean()
    finally:
        small.free()
        if stack.process.poll() is None:
            stack.stop()
