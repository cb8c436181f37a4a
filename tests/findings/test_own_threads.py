"""A mail server, a disk or a store that never answers holds up nothing but what needs it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from app.domain import storage_quotas
from app.domain.accounts.mail import Mail, MailError, SmtpMailer
from app.domain.storage_quotas import StorageQuotas
from db.storage import objects
from db.storage.disk import Disk
from db.storage.objects import StoreError, open_store

_MAIL = Mail(to="a@example.org", subject="x", text="secret")


@pytest.fixture
async def silent_server() -> AsyncGenerator[str]:
    """A mail server that accepts connections and never responds."""
    opened = list[asyncio.StreamWriter]()
    server = await asyncio.start_server(lambda _, writer: opened.append(writer), "127.0.0.1", 0)
    yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for writer in opened:
        writer.close()


@pytest.fixture
def hang() -> Generator[threading.Event]:
    """What hangs until it is set."""
    let = threading.Event()
    yield let
    let.set()


@pytest.fixture
async def one_thread() -> None:
    """All that the process's common threads can do at a time is one thing."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))


async def common_threads_are_free() -> bool:
    async with asyncio.timeout(10):
        return await asyncio.to_thread(lambda: True)


@pytest.mark.usefixtures("one_thread")
async def test_mails_to_a_silent_server_fail_in_time_and_hold_nothing_else_up(silent_server: str) -> None:
    mailer = SmtpMailer(silent_server, "a@b", within_s=2)

    sending = asyncio.gather(*[mailer.send(_MAIL) for _ in range(12)], return_exceptions=True)
    is_free = await common_threads_are_free()
    is_waiting = not sending.done()
    async with asyncio.timeout(15):
        ends = await sending

    assert (is_free, is_waiting) == (True, True)
    assert all(isinstance(end, MailError) for end in ends)


class HangingDisk:
    """A full disk; from the second reading on it hangs."""

    def __init__(self, let: threading.Event) -> None:
        self.polls = 0
        self._let = let

    def measure(self) -> Disk:
        self.polls += 1
        if self.polls > 1:
            self._let.wait()
        return Disk(free_bytes=0, size_bytes=1, floor_bytes=1)


@pytest.mark.usefixtures("one_thread")
async def test_the_last_reading_of_a_hanging_disk_is_used(
    hang: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_quotas, "_DISK_FRESH_S", 0.0)
    monkeypatch.setattr(storage_quotas, "_DISK_WAIT_S", 0.2)
    disk: Any = HangingDisk(hang)
    quotas = StorageQuotas(cast("Any", None), disk, cast("Any", None))
    before = await quotas.is_disk_full()

    async with asyncio.timeout(10):
        meanwhile = [await quotas.is_disk_full() for _ in range(50)]

    assert (before, set(meanwhile), disk.polls) == (True, {True}, 2)
    assert await common_threads_are_free()


@pytest.mark.usefixtures("one_thread")
async def test_a_folder_that_hangs_fails_its_check_and_holds_nothing_else_up(
    hang: threading.Event, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(objects, "_check_folder", lambda _: hang.wait())
    monkeypatch.setattr(objects, "_CHECK_S", 0.1)
    store = open_store(tmp_path.as_uri())

    for _ in range(3):
        with pytest.raises(StoreError):
            await store.check()

    assert await common_threads_are_free()
