"""A store that is unavailable, slow, full or refuses us: jobs wait and lose nothing; orphans are found."""

import asyncio
import hashlib
import io
import os
import resource
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
import requests

from db.postgres.pool import Pool
from db.storage.objects import StoreError, open_store
from tests.e2e.clients.programs import download, poll
from tests.e2e.conftest import Stack
from tests.records import Submit, Wallet
from tests.workers.conftest import LocalWorker
from tests.workers.jobs.test_runner import order, spent, until
from workers.jobs.connection import WorkerLink
from workers.jobs.orphaned_audio import OrphanedAudio
from workers.settings import WorkerSettings

from .conftest import NewBucket

NewLocalWorker = Callable[[str], LocalWorker]
SETTINGS = WorkerSettings(engine="espeak", sweep_s=0.1, lease_s=2.0)


@pytest.fixture
def new_runner(database: tuple[str, str], redis_url: str) -> Generator[NewLocalWorker]:
    """Creates a worker on a store of that URL."""
    made: list[LocalWorker] = []

    def start(url: str) -> LocalWorker:
        made.append(LocalWorker(database[1], redis_url, open_store(url), SETTINGS))
        return made[-1]

    yield start
    for local_worker in made:
        local_worker.close()


class Proxy:
    """A TCP proxy that may be slow, or shut."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.wait_s = 0.0
        self.is_open = True
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                caller = self._listening.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        if not self.is_open:
            caller.close()
            return
        time.sleep(self.wait_s)
        server = socket.create_connection(self._target)
        back = threading.Thread(target=_pass_on, args=(server, caller), daemon=True)
        back.start()
        _pass_on(caller, server)
        back.join()
        caller.close()
        server.close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@contextmanager
def proxied(swift: NewBucket) -> Generator[tuple[Proxy, str]]:
    host, port = swift().partition("endpoint=http://")[2].partition("&")[0].split(":")
    proxy = Proxy((host, int(port)))
    try:
        yield proxy, swift(at=proxy.url)
    finally:
        proxy.close()


async def test_an_unavailable_store_costs_no_job_and_no_try(
    new_runner: NewLocalWorker, swift: NewBucket, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    with proxied(swift) as (proxy, url):
        local_worker = new_runner(url)
        proxy.is_open = False
        local_worker.start()
        sent = await submit(*(order(owner, f"say {n}") for n in (100, 200, 300)))
        async with asyncio.timeout(60):
            while not local_worker.runner.store_lost.is_set():
                await asyncio.sleep(0.05)
        proxy.is_open = True
        ends = [await until(pool, answer.id, "completed", "failed") for answer in sent]
    assert [(end.state, end.duration_ms) for end in ends] == [("completed", n) for n in (100, 200, 300)]
    assert await spent(pool, owner) == (3, 0)


async def test_a_store_slower_than_a_lease_keeps_its_attempt(
    new_runner: NewLocalWorker, swift: NewBucket, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    with proxied(swift) as (proxy, url):
        proxy.wait_s = 1.5 * SETTINGS.lease_s  # a connection: for the object, and for its bucket
        new_runner(url).start()
        [sent] = await submit(order(owner, "say 100"))
        end = await until(pool, sent.id, "completed", "failed")
    assert (end.state, end.attempt) == ("completed", 1)
    assert await spent(pool, owner) == (1, 0)


async def test_wrong_credentials_stop_claims_and_are_reported(
    new_runner: NewLocalWorker, swift: NewBucket, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    url = swift(secret="wrong")
    local_worker = new_runner(url)
    local_worker.start()
    [sent] = await submit(order(owner, "say 100"))
    async with asyncio.timeout(30):
        while not local_worker.runner.store_lost.is_set():
            await asyncio.sleep(0.05)
    assert (await until(pool, sent.id, "queued")).state == "queued"
    with pytest.raises(StoreError, match="lacked the necessary privileges"):
        await asyncio.to_thread(open_store(url).probe)
    local_worker.close()
    new_runner(url.replace("=wrong", "=testing")).start()
    assert (await until(pool, sent.id, "completed", "failed")).state == "completed"
    assert await spent(pool, owner) == (1, 0)


def test_a_full_store_hands_jobs_back_until_there_is_space(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "home")
    try:
        worker = stack.env()["pids"]["worker"]
        _, hard = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (16 << 10, hard))  # no file may grow beyond
        jobs = [stack.speak(f"There is no room for number {n}.") for n in range(3)]
        deadline = time.monotonic() + 20
        while not has_handed_back(stack):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (hard, hard))
        assert {poll(stack, job)["status"] for job in jobs} == {"completed"}
        assert (stack.credits()["total_remaining"], stack.credits()["held"]) == (57, 0)
        assert stack.audit_is_clean()
    finally:
        stack.stop()


def has_handed_back(stack: Stack) -> bool:
    """Whether a job had started, and waits again with no try used."""
    with psycopg.connect(stack.env()["database_url"]) as connection:
        row = connection.execute(
            "SELECT count(*) FROM cv.job WHERE attempt > 0 AND tries = 0 AND state = 'queued'"
        ).fetchone()
    return row is not None and row[0] > 0


async def test_orphans_are_deleted_and_nothing_else(
    new_runner: NewLocalWorker,
    store_url: str,
    database: tuple[str, str],
    pool: Pool,
    wallet: Wallet,
    submit: Submit,
) -> None:
    local_worker = new_runner(store_url)
    owner = await wallet()
    done, waiting = await submit(order(owner, "say 50"), order(owner, "hang"))
    local_worker.start()
    kept = (await until(pool, done.id, "completed")).object
    assert kept is not None
    strangers = [f"jobs/{waiting.id}-1.wav", f"jobs/{uuid.uuid4()}-1.wav", "jobs/other.txt", "samples/a.mp3"]
    orphans = [f"jobs/{done.id}-7.wav", f"jobs/{done.id}-8.mp3"]
    for key in (*strangers, *orphans):
        await asyncio.to_thread(local_worker.store.put, key, io.BytesIO(b"x"))
    if store_url.startswith("file:"):
        broken_off = [f"jobs/{done.id}-9.wav#1", f"jobs/{done.id}-9.wav#0c3f9a1e"]  # by obstore; by us
        for key in broken_off:
            Path(store_url.removeprefix("file://"), key).write_bytes(b"broken off")
        orphans += broken_off
    await asyncio.sleep(1.1)  # S3's clock has seconds
    link = WorkerLink(database[1], "orphans")
    look = partial(
        asyncio.to_thread,
        OrphanedAudio(local_worker.store, link, WorkerSettings(engine="x", orphan_s=0)).check_next_page,
    )
    assert await look() == len(orphans)
    assert await look() == 0
    link.close()
    left_over = {key for page in local_worker.store.old("", 0) for key in page}
    assert left_over == {kept, *strangers}


async def test_young_objects_are_left_alone(store_url: str, database: tuple[str, str]) -> None:
    store = open_store(store_url)
    await asyncio.to_thread(store.put, f"jobs/{uuid.uuid4()}-1.wav", io.BytesIO(b"x"))
    link = WorkerLink(database[1], "orphans")
    assert (
        await asyncio.to_thread(OrphanedAudio(store, link, WorkerSettings(engine="x")).check_next_page) == 0
    )
    link.close()


def test_speech_on_s3_from_text_to_a_range(swift: NewBucket, tmp_path: Path) -> None:
    url = swift()
    stack = Stack(tmp_path / "home", CODEVOICE_OBJECTS=url, CODEVOICE_LEASE_S="2")
    try:
        job = stack.speak("Kept far away, and brought back in parts.")
        status = poll(stack, job)
        whole = download(stack, status)
        address = f"{stack.url}{status['audio_url']}"
        part = requests.get(address, headers={"Range": "bytes=100-199"}, timeout=30)
        assert (part.status_code, part.content) == (206, whole[100:200])
        assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
        assert requests.get(address, headers={"Range": f"bytes={len(whole)}-"}, timeout=30).status_code == 416
        assert whole[:4] == b"RIFF"
        store = open_store(url)
        [key] = [key for page in store.old("jobs", -60) for key in page]
        kept = asyncio.run(_content(url, key, len(whole)))
        assert hashlib.sha256(kept).hexdigest() == part.headers["ETag"].strip('"')
        assert kept == whole
        assert requests.get(f"{stack.url}/health/ready", timeout=10).status_code == 200
        os.kill(stack.env()["pids"]["worker"], signal.SIGKILL)
        assert poll(stack, stack.speak("And again."))["status"] == "completed"
        assert stack.audit_is_clean()
    finally:
        stack.stop()


async def _content(url: str, key: str, size: int) -> bytes:
    return b"".join([chunk async for chunk in await open_store(url).read(key, 0, size)])
