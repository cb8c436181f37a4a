"""The worker's loop: every job ends once, and one bad job fails alone."""

import asyncio
import uuid
from collections.abc import Generator
from io import BytesIO
from pathlib import Path

import pytest
from msgspec.structs import replace

from db.postgres import jobs_api, ledger
from db.postgres.pool import Pool, transaction
from db.storage.disk_floor import Floor
from db.storage.objects import Objects, open_store
from db.types import MICRO, JobStatus, NewJob, SpeechParams
from tests.conftest import Lack
from tests.records import Submit, Wallet, new_job
from tests.tmpfs import disk
from tests.workers.conftest import SETTINGS, LocalWorker, ObedientEngine
from workers.jobs.connection import WorkerLink
from workers.jobs.orphaned_audio import OrphanedAudio
from workers.pipelines import synthesis
from workers.settings import WorkerSettings


def order(owner: uuid.UUID, text: str) -> NewJob:
    return new_job(owner, params=SpeechParams(text=text, voice="ryan", language="en-US"))


async def until(pool: Pool, job: uuid.UUID | None, *states: str) -> JobStatus:
    """The job's status once it is in one of `states`; fails after 20 s."""
    assert job is not None
    async with asyncio.timeout(20):
        while True:
            async with transaction(pool) as connection:
                found = await jobs_api.status(connection, job)
            if found and found.state in states:
                return found
            await asyncio.sleep(0.01)


async def spent(pool: Pool, owner: uuid.UUID) -> tuple[int, int]:
    async with transaction(pool) as connection:
        assert await ledger.audit(connection) == []
        now = await ledger.balance(connection, owner)
    assert now is not None
    return now.spent // MICRO, now.held


async def test_a_job_becomes_a_wav_file(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit, folder: Path
) -> None:
    owner = await wallet()
    [sent] = await submit(order(owner, "say 500"))
    local_worker.runner.claims.claim_available()
    done = await until(pool, sent.id, "completed")
    assert (done.duration_ms, done.audio_bytes, done.content_type) == (500, 1044, "audio/wav")
    assert done.object == f"jobs/{sent.id}-1.wav"
    assert (folder / done.object).stat().st_size == 1044
    assert await spent(pool, owner) == (1, 0)


async def test_one_bad_job_fails_alone(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    orders = ["say 10", "refuse", "nothing", "say 20"]
    sent = await submit(*(order(owner, text) for text in orders))
    local_worker.runner.claims.claim_available()
    ends = [await until(pool, answer.id, "completed", "failed") for answer in sent]
    assert [(end.state, end.code) for end in ends] == [
        ("completed", None),
        ("failed", "unspeakable"),
        ("failed", "nothing_to_say"),
        ("completed", None),
    ]
    assert local_worker.engine.batches == [4]
    assert await spent(pool, owner) == (2, 0)


async def test_a_text_whose_preparation_fails_fails_alone(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(text: str, language: str, *, broken_up: bool) -> str:
        assert not broken_up
        if text == "unforeseen":
            raise IndexError(language)
        return text

    monkeypatch.setattr("workers.pipelines.synthesis.prepare_text", prepare)
    owner = await wallet()
    sent = await submit(*(order(owner, text) for text in ("say 10", "unforeseen", "say 20")))
    local_worker.start()
    ends = [await until(pool, answer.id, "completed", "failed") for answer in sent]
    assert [(end.state, end.code) for end in ends] == [
        ("completed", None),
        ("failed", "internal_error"),
        ("completed", None),
    ]
    assert await spent(pool, owner) == (2, 0)


async def test_texts_are_broken_up_only_for_engines_that_require_it(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    [sent] = await submit(order(owner, "say 00000000000000000010"))
    local_worker.runner.claims.claim_available()
    await until(pool, sent.id, "completed")
    assert local_worker.engine.requested == ["say 00000000000000000010"]


async def test_an_interrupted_attempt_is_retried_and_then_given_up(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    [sent] = await submit(order(owner, "break"))
    local_worker.start()
    end = await until(pool, sent.id, "failed")
    assert (end.code, end.attempt) == ("engine_interrupted", 3)
    assert await spent(pool, owner) == (0, 0)


async def test_slots_that_become_free_are_filled_again(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    hanging = await submit(*(order(owner, "hang") for _ in range(3)))
    await submit(*(order(owner, "say 5") for _ in range(20)))
    local_worker.runner.claims.claim_available()
    await asyncio.to_thread(lambda: [local_worker.engine.begun.get(timeout=20) for _ in range(23)])
    assert max(local_worker.engine.batches) <= 4
    local_worker.runner.rows.lose([(answer.id, 1) for answer in hanging if answer.id])


async def test_somebody_who_listens_does_not_wait_for_others_long_jobs(
    database: tuple[str, str],
    redis_url: str,
    folder: Path,
    pool: Pool,
    wallet: Wallet,
    submit: Submit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(synthesis, "_MANY_SLOTS", 4)
    owner = await wallet()
    await submit(*(order(owner, "hang") for _ in range(6)))
    local_worker = LocalWorker(database[1], redis_url, open_store(folder.as_uri()), SETTINGS)
    try:
        local_worker.runner.claims.claim_available()
        assert local_worker.engine.requested == ["hang"] * 3
        [listened] = await submit(replace(order(await wallet(), "say 20"), live=True))
        local_worker.runner.claims.claim_available()
        await until(pool, listened.id, "completed")
        assert local_worker.engine.requested == ["hang"] * 3 + ["say 20"]
    finally:
        local_worker.close()


async def test_an_engine_that_batches_gets_a_voice_together_then_others(
    pool: Pool,
    wallet: Wallet,
    submit: Submit,
    database: tuple[str, str],
    redis_url: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ObedientEngine, "batched", True)
    owner = await wallet()
    lanes = ["emma", "ryan", "emma", "brian", "emma", "ryan"]
    wanted = [replace(order(owner, f"say {n}"), lane=lane) for n, lane in enumerate(lanes, start=1)]
    sent = await submit(*wanted)
    local_worker = LocalWorker(
        database[1], redis_url, open_store(folder.as_uri()), WorkerSettings(engine="espeak")
    )
    local_worker.runner.claims.claim_available()
    for answer in sent:
        await until(pool, answer.id, "completed")
    local_worker.close()
    assert local_worker.engine.requested[:4] == ["say 1", "say 3", "say 5", "say 2"]


async def test_a_cancelled_job_frees_its_slot(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    owner = await wallet()
    [sent] = await submit(order(owner, "hang"))
    local_worker.start()
    await asyncio.to_thread(local_worker.engine.begun.get, timeout=20)
    assert sent.id is not None
    async with transaction(pool) as connection:
        assert await jobs_api.cancel(connection, sent.id, owner=owner, actor="owner") == "cancelled"
    async with asyncio.timeout(20):
        while local_worker.runner.rows.held():
            await asyncio.sleep(0.01)
    assert (await until(pool, sent.id, "cancelled")).object is None
    assert await spent(pool, owner) == (0, 0)


async def test_without_a_store_claims_pause_and_no_try_is_used(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit, folder: Path
) -> None:
    owner = await wallet()
    folder.rename(folder.with_name("away"))
    folder.touch()  # a file where the folder was: nothing can be put
    sent = await submit(*(order(owner, "say 5") for _ in range(3)))
    local_worker.start()
    async with asyncio.timeout(20):
        while not local_worker.runner.store_lost.is_set():
            await asyncio.sleep(0.01)
    folder.unlink()
    folder.with_name("away").rename(folder)
    for answer in sent:
        await until(pool, answer.id, "completed")
    assert await pool.fetchval("SELECT max(tries) FROM cv.job") == 1
    assert await spent(pool, owner) == (3, 0)


PROBE_BYTES_MIN = 3 << 19  # a probe fits


@pytest.fixture
def nearly_full(folder: Path, lack: Lack) -> Generator[Objects]:
    """A store whose disk has so much left above its floor, and four times that below."""
    with disk(folder, mib=8, lack=lack):
        yield open_store(folder.as_uri(), floor=Floor(bytes_min=(8 << 20) - PROBE_BYTES_MIN))


async def test_a_job_the_disk_has_no_room_for_uses_its_tries_and_holds_up_no_other(
    pool: Pool,
    wallet: Wallet,
    submit: Submit,
    database: tuple[str, str],
    redis_url: str,
    nearly_full: Objects,
) -> None:
    settings = replace(SETTINGS, spool_memory_bytes=3 * PROBE_BYTES_MIN)
    local_worker, owner = LocalWorker(database[1], redis_url, nearly_full, settings), await wallet()
    local_worker.start()
    [large] = await submit(order(owner, f"say {PROBE_BYTES_MIN}"))
    [small] = await submit(order(owner, "say 5"))

    ends = [await until(pool, sent.id, "completed", "failed") for sent in (large, small)]

    assert [(end.state, end.code) for end in ends] == [("failed", "store_lost"), ("completed", None)]
    assert await pool.fetchval("SELECT tries FROM cv.job WHERE id = $1", large.id) == SETTINGS.tries_max
    assert (
        list(local_worker.engine.begun.queue).count(f"say {PROBE_BYTES_MIN}") == 1
    )  # then the store was checked first
    assert await spent(pool, owner) == (1, 0)
    local_worker.close()


def test_probes_that_killed_workers_left_are_deleted(database: tuple[str, str], folder: Path) -> None:
    store = open_store(folder.as_uri())
    store.put("probe/left", BytesIO(b"x"))
    orphans = OrphanedAudio(store, WorkerLink(database[1], "orphans"), WorkerSettings(engine="x", orphan_s=0))

    orphans.check_next_page()

    assert [key for page in store.old("probe", -60) for key in page] == []


async def test_a_stopping_worker_hands_back_what_it_cannot_end(
    local_worker: LocalWorker, pool: Pool, wallet: Wallet, submit: Submit
) -> None:
    [sent] = await submit(order(await wallet(), "hang"))
    local_worker.runner.claims.claim_available()
    await asyncio.to_thread(local_worker.engine.begun.get, timeout=20)
    await asyncio.to_thread(local_worker.runner.stop, 0)
    assert (await until(pool, sent.id, "queued")).attempt == 1
    assert await pool.fetchval("SELECT tries FROM cv.job") == 0
