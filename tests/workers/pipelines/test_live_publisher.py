"""Live audio: listeners receive the stored object's bytes, and no listener harms a job."""

import asyncio
import socket
import time
import uuid
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from db.formats import FORMATS
from db.postgres import jobs_api
from db.postgres.pool import Pool, transaction
from db.redis.live_audio import (
    CANCEL,
    DONE,
    LISTEN,
    Chunk,
    End,
    LiveAttempt,
    Reader,
    append,
    connect,
    read_done,
)
from db.storage.objects import open_store
from db.types import Finished, SpeechParams, Submitted
from ops.stack import embedded
from tests.clock import unhurried
from tests.records import Submit, Wallet, new_job
from tests.workers.conftest import SETTINGS, LocalWorker
from tests.workers.jobs.test_runner import spent, until
from workers.pipelines.live_publisher import LiveAudioPublisher
from workers.settings import WorkerSettings

Client = redis.asyncio.Redis


@pytest.fixture
async def client(redis_url: str) -> AsyncGenerator[Client]:
    async with redis.asyncio.Redis.from_url(redis_url) as opened:
        yield opened


class Ordering:
    """Submits orders of one account."""

    def __init__(self, submit: Submit, owner: uuid.UUID) -> None:
        self._submit = submit
        self.owner = owner

    async def __call__(self, text: str, *, live: bool = True, form: str = "wav") -> LiveAttempt:
        params = SpeechParams(text=text, voice="ryan", language="en-US", format=form)
        [sent] = await self._submit(new_job(self.owner, params=params, live=live))
        assert isinstance(sent, Submitted)
        assert sent.id is not None
        return LiveAttempt(sent.id, 1)


@pytest.fixture
async def order(wallet: Wallet, submit: Submit) -> Ordering:
    return Ordering(submit, await wallet(kind="api_only", unlimited=True))


async def read_stream(client: Client, live: LiveAttempt) -> tuple[bytes, End]:
    """All of a stream."""
    reader, audio = Reader(client, live), b""
    async with asyncio.timeout(20):
        while True:
            for entry in await reader.next(wait_ms=1000):
                if isinstance(entry, End):
                    return audio, entry
                audio += entry.audio


async def first(client: Client, live: LiveAttempt) -> bytes:
    """A stream's first entry."""
    async with asyncio.timeout(20):
        while not (entries := await Reader(client, live).next(wait_ms=1000, entries_max=1)):
            pass
    assert isinstance(entries[0], Chunk)
    return entries[0].audio


def go(local_worker: LocalWorker, times: int) -> None:
    for _ in range(times):
        local_worker.engine.steps.put("go")


@pytest.mark.parametrize("form", FORMATS)
async def test_a_listener_receives_the_stored_bytes(
    local_worker: LocalWorker, pool: Pool, client: Client, order: Ordering, folder: Path, form: str
) -> None:
    local_worker.start()
    live = await order("steps 5 700", form=form)
    go(local_worker, 5)
    audio, end = await read_stream(client, live)
    done = await until(pool, live.job, "completed")
    assert done.object is not None
    stored = (folder / done.object).read_bytes()
    header = {"wav": 44, "flac": 42}.get(form, 0)
    assert audio[header:] == stored[header:]
    assert end == End(ending="complete", duration_ms=3500, audio_bytes=len(stored))


async def test_the_first_entry_is_published_before_the_second_chunk_is_made(
    local_worker: LocalWorker, client: Client, order: Ordering
) -> None:
    local_worker.start()
    live = await order("steps 2 100")
    go(local_worker, 1)
    assert len(await first(client, live)) == 44 + 200
    go(local_worker, 1)
    assert len((await read_stream(client, live))[0]) == 44 + 400


async def test_nothing_is_published_without_a_listener(
    local_worker: LocalWorker, pool: Pool, client: Client, order: Ordering
) -> None:
    local_worker.start()
    live = await order("say 500", live=False)
    await until(pool, live.job, "completed")
    await read_stream(client, await order("say 10"))  # by now it would be there
    assert not await client.exists(live.key)


async def test_a_late_listener_receives_the_audio_from_the_start(
    local_worker: LocalWorker, client: Client, order: Ordering
) -> None:
    local_worker.start()
    live = await order("steps 3 1000", live=False)
    go(local_worker, 1)
    await asyncio.to_thread(local_worker.engine.begun.get, timeout=20)
    async with asyncio.timeout(20):
        while local_worker.engine.steps.qsize():  # the first sound is made
            await asyncio.sleep(0.01)
        while await client.publish(LISTEN, live.job.hex) == 0:
            await asyncio.sleep(0.01)
        while not local_worker.runner.rows.live():
            await asyncio.sleep(0.01)
    go(local_worker, 2)
    audio, end = await read_stream(client, live)
    assert (len(audio), end.audio_bytes) == (6044, 6044)


async def test_a_listen_notification_that_races_with_the_claim_is_remembered(
    local_worker: LocalWorker, client: Client, order: Ordering
) -> None:
    live = await order("say 100", live=False)
    local_worker.runner.rows.add_listener(live.job)
    local_worker.start()
    assert len((await read_stream(client, live))[0]) == 244


async def test_an_interrupted_attempt_announces_that_another_follows(
    local_worker: LocalWorker, client: Client, order: Ordering
) -> None:
    local_worker.start()
    live = await order("steps 2 100")
    go(local_worker, 1)
    local_worker.engine.steps.put("break")
    audio, end = await read_stream(client, live)
    assert (len(audio), end) == (244, End(ending="again"))
    go(local_worker, 2)
    audio, end = await read_stream(client, LiveAttempt(live.job, 2))
    assert (len(audio), end.ending) == (444, "complete")


@pytest.mark.parametrize(("text", "code"), [("refuse", "unspeakable"), ("nothing", "nothing_to_say")])
async def test_a_failure_is_published_with_its_code(
    local_worker: LocalWorker, client: Client, order: Ordering, text: str, code: str
) -> None:
    local_worker.start()
    assert await read_stream(client, await order(text)) == (b"", End(ending="failed", code=code))


async def test_a_stopping_worker_announces_that_another_attempt_follows(
    local_worker: LocalWorker, client: Client, order: Ordering
) -> None:
    local_worker.start()
    live = await order("hang")
    await first(client, live)
    await asyncio.to_thread(local_worker.runner.stop, 0)
    assert (await read_stream(client, live))[1] == End(ending="again")


async def test_a_cancelled_job_is_stopped_at_once_and_its_stream_ends(
    database: tuple[str, str], redis_url: str, folder: Path, pool: Pool, client: Client, order: Ordering
) -> None:
    settings = WorkerSettings(engine="espeak", sweep_s=0.1, lease_s=60)  # no renewal would find out in time
    local_worker = LocalWorker(database[1], redis_url, open_store(folder.as_uri()), settings)
    local_worker.start()
    live = await order("hang")
    await first(client, live)
    async with transaction(pool) as connection:
        await jobs_api.cancel(connection, live.job, owner=order.owner, actor="owner")
    began = time.monotonic()
    await client.publish(CANCEL, live.job.hex)
    assert (await read_stream(client, live))[1] == End(ending="cancelled")
    assert time.monotonic() - began < unhurried(5)
    assert await spent(pool, order.owner) == (0, 0)
    await asyncio.to_thread(local_worker.close)


async def test_the_end_of_every_job_is_announced_after_its_commit(
    local_worker: LocalWorker, pool: Pool, client: Client, order: Ordering
) -> None:
    local_worker.start()
    announced: dict[uuid.UUID, str] = {}
    async with client.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(DONE)
        sent = [await order(text, live=False) for text in ("say 10", "refuse", "say 20")]
        wanted = {live.job for live in sent}
        async with aclosing(channel.listen()) as messages, asyncio.timeout(20):
            async for message in messages:
                if (news := read_done(message["data"])) and news[0] in wanted:
                    announced[news[0]] = news[1]
                    assert (await until(pool, news[0], news[1])).state == news[1]
                if announced.keys() == wanted:
                    break
    assert [announced[live.job] for live in sent] == ["completed", "failed", "completed"]


async def test_a_stream_longer_than_allowed_stops_and_its_end_has_the_full_length(
    database: tuple[str, str], redis_url: str, folder: Path, client: Client, order: Ordering
) -> None:
    settings = WorkerSettings(engine="espeak", sweep_s=0.1, live_bytes_max=1000)
    local_worker = LocalWorker(database[1], redis_url, open_store(folder.as_uri()), settings)
    local_worker.start()
    live = await order("steps 5 200")
    go(local_worker, 5)
    audio, end = await read_stream(client, live)
    assert (len(audio), end.audio_bytes) == (44 + 2 * 400, 44 + 5 * 400)
    await asyncio.to_thread(local_worker.close)


@pytest.fixture
def nowhere() -> Generator[str]:
    """A Redis that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.mark.parametrize("away", ["refusing", "silent"])
async def test_without_redis_jobs_are_as_fast_and_complete(
    database: tuple[str, str], folder: Path, pool: Pool, order: Ordering, nowhere: str, away: str
) -> None:
    url = nowhere if away == "silent" else "redis://127.0.0.1:1/0"
    local_worker = LocalWorker(database[1], url, open_store(folder.as_uri()), SETTINGS)
    local_worker.start()
    began = time.monotonic()
    for _ in range(10):
        await until(pool, (await order("say 500")).job, "completed")
    assert time.monotonic() - began < unhurried(5)
    assert await spent(pool, order.owner) == (10, 0)
    await asyncio.to_thread(local_worker.close)


def test_64_streams_at_once_are_never_mixed(redis_url: str) -> None:
    lives = [LiveAttempt(uuid.uuid4(), 1) for _ in range(64)]
    parts = {live: [f"{n} of {live.key};".encode() * 20 for n in range(40)] for live in lives}
    publisher = LiveAudioPublisher(connect(redis_url), keep_s=5, audio_bytes_max=1 << 20)
    publisher.start()
    for n in range(40):
        for live in lives:
            publisher.audio(live, parts[live][n], until_ms=n)
    ends = [Finished(id=live.job, attempt=1, outcome="done", audio_bytes=1) for live in lives]
    publisher.ended(ends, {(live.job, 1): "completed" for live in lives}, {(live.job, 1) for live in lives})
    publisher.stop()
    with connect(redis_url) as client:
        for live in lives:
            *audio, last = [fields for _, fields in client.xrange(live.key)]
            assert b"".join(fields[b"b"] for fields in audio) == b"".join(parts[live])
            assert last[b"end"] == b"complete"


def test_a_stream_never_has_a_hole(redis_url: str) -> None:
    """One write fails, Redis is back at once: what comes after may not be written."""

    class Failing:
        """Fails once, as a connection that is reset does."""

        def __init__(self) -> None:
            self.client = connect(redis_url)
            self.calls = 0

        def pipeline(self, **options: Any) -> Any:
            self.calls += 1
            if self.calls == 2:
                raise redis.ConnectionError
            return self.client.pipeline(**options)

        def close(self) -> None:
            self.client.close()

    live, failing = LiveAttempt(uuid.uuid4(), 1), Failing()
    publisher = LiveAudioPublisher(failing, keep_s=5, audio_bytes_max=1000)  # type: ignore[arg-type]
    publisher.start()
    deadline = time.monotonic() + 30
    for part in (b"one", b"two", b"three", b"four"):
        calls = failing.calls
        publisher.audio(live, part, until_ms=1)
        while failing.calls == calls and part in (b"one", b"two") and time.monotonic() < deadline:
            time.sleep(0.001)
    publisher.stop()
    with connect(redis_url) as client:
        assert [fields[b"b"] for _, fields in client.xrange(live.key)] == [b"one"]


async def test_a_stream_that_redis_dropped_is_not_begun_again(client: Client, redis_url: str) -> None:
    live, publisher = (
        LiveAttempt(uuid.uuid4(), 1),
        LiveAudioPublisher(connect(redis_url), keep_s=60, audio_bytes_max=1000),
    )
    publisher.start()
    publisher.audio(live, b"first", until_ms=1)
    assert await first(client, live) == b"first"
    await client.delete(live.key)
    publisher.audio(live, b"second", until_ms=2)

    ended = Finished(id=live.job, attempt=1, outcome="done", audio_bytes=11, duration_ms=2)
    publisher.ended([ended], {(live.job, 1): "completed"}, {(live.job, 1)})

    assert await read_stream(client, live) == (b"", End(ending="complete", audio_bytes=11, duration_ms=2))
    publisher.stop()


async def test_where_memory_runs_out_live_audio_goes_and_wake_ups_stay(tmp_path: Path) -> None:
    with embedded.valkey(tmp_path / "kv", password="x", memory_max_mb=16) as url, connect(url) as client:
        client.rpush("dramatiq:default.espeak", b"wake")
        client.hset("codevoice:limit:post:x", "tokens", "1")
        client.pexpire("codevoice:limit:post:x", 300_000)
        lives = [LiveAttempt(uuid.uuid4(), 1) for _ in range(40)]
        for live in lives:
            with client.pipeline(transaction=False) as pipeline:
                append(pipeline, live, Chunk(bytes(1 << 20), 1), keep_s=60, is_first=True)
                pipeline.execute()

        kept = [client.exists(live.key) for live in lives]
        assert 0 < sum(kept) < 16
        assert client.lrange("dramatiq:default.espeak", 0, -1) == [b"wake"]
        assert client.exists("codevoice:limit:post:x")
