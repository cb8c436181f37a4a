"""Live audio through a real Redis: what is written is read, in order, from the first entry on."""

import asyncio
import uuid
from collections.abc import AsyncGenerator

import pytest
import redis.asyncio

from db.redis.live_audio import (
    Chunk,
    End,
    LiveAttempt,
    Reader,
    append,
    connect,
    done_message,
    end,
    read_done,
    read_job,
)


@pytest.fixture
async def reader(redis_url: str) -> AsyncGenerator[Reader]:
    client = redis.asyncio.Redis.from_url(redis_url)
    yield Reader(client, LIVE)
    await client.delete(LIVE.key)
    await client.aclose()


LIVE = LiveAttempt(uuid.uuid4(), 3)


def write(url: str, *parts: bytes | End) -> None:
    with connect(url) as client, client.pipeline(transaction=False) as pipeline:
        for n, part in enumerate(parts):
            if isinstance(part, bytes):
                append(pipeline, LIVE, Chunk(part, len(part)), keep_s=60, is_first=n == 0)
            else:
                end(pipeline, LIVE, part)
        pipeline.execute()


ENDS = [
    End(ending="complete", duration_ms=1500, audio_bytes=123),
    End(ending="failed", code="engine_interrupted"),
    End(ending="again"),
    End(ending="cancelled"),
]


@pytest.mark.parametrize("last", ENDS, ids=lambda each: each.ending)
async def test_written_entries_are_read_in_order_to_the_end(
    reader: Reader, redis_url: str, last: End
) -> None:
    write(redis_url, b"head and first", b"\x00\xff", last)
    assert list(await reader.next(wait_ms=1000)) == [
        Chunk(b"head and first", 14),
        Chunk(b"\x00\xff", 2),
        last,
    ]
    assert list(await reader.next(wait_ms=1)) == []


async def test_a_reader_waits_for_what_comes(reader: Reader, redis_url: str) -> None:
    waiting = asyncio.create_task(reader.next(wait_ms=20_000))
    await asyncio.to_thread(write, redis_url, b"one")
    assert list(await waiting) == [Chunk(b"one", 3)]


async def test_a_slow_reader_reads_a_few_entries_at_a_time(reader: Reader, redis_url: str) -> None:
    write(redis_url, *(bytes([n]) for n in range(20)))
    taken = [await reader.next(wait_ms=1000, entries_max=8) for _ in range(3)]
    assert [len(each) for each in taken] == [8, 8, 4]
    assert b"".join(part.audio for each in taken for part in each if isinstance(part, Chunk)) == bytes(
        range(20)
    )


async def test_a_stream_expires(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        write(redis_url, b"one")
        assert 50 < await client.ttl(LIVE.key) <= 60
        write(redis_url, End(ending="again"))
        assert 20 < await client.ttl(LIVE.key) <= 30


def test_messages_are_parsed_and_unknown_ones_ignored() -> None:
    job = uuid.uuid4()
    assert read_done(done_message(job, "completed").encode()) == (job, "completed")
    assert read_job(job.hex.encode()) == job
    assert read_done(b"\xff:completed") is None
    assert read_job(b"nonsense") is None
