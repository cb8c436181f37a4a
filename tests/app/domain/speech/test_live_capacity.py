"""Listeners beyond an engine's real-time capacity are refused, so that no admitted audio stutters."""

import asyncio
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from msgspec.structs import replace

from app.domain.errors import Unavailable
from app.domain.speech import live_capacity
from app.domain.speech.live_capacity import LiveCapacity
from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from tests.app.api_process import ApiProcess
from tests.app.conftest import ENGINE, Person, voice
from tests.app.listeners import STREAM, jobs_of, until

TWO = replace(ENGINE, engine="narrow", voices=(voice("Solo", "en-US"),), live_max=2)
MINE, OTHER = uuid4(), uuid4()


class Numbers:
    """In place of the database and its query: its results, and how often it was queried."""

    def __init__(self) -> None:
        self.owners: list[UUID] = []
        self.workers, self.queries = 1, 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[None]:
        yield None

    async def live_jobs(self, _: object, engine: str) -> tuple[list[UUID], int]:
        assert engine == "narrow"
        self.queries += 1
        await asyncio.sleep(0)
        return self.owners, self.workers


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> Numbers:
    numbers = Numbers()
    monkeypatch.setattr(live_capacity.jobs, "live_jobs", numbers.live_jobs)
    return numbers


async def submitted(capacity: LiveCapacity, owner: UUID = MINE) -> bool:
    try:
        async with capacity.admit(TWO, owner):
            await asyncio.sleep(0)
    except Unavailable:
        return False
    return True


@pytest.fixture
def capacity(numbers: Numbers) -> LiveCapacity:
    return LiveCapacity(numbers)  # pyright: ignore[reportArgumentType]


async def test_concurrent_streams_do_not_exceed_the_places(capacity: LiveCapacity) -> None:
    assert sorted(await asyncio.gather(*(submitted(capacity) for _ in range(5)))) == [False] * 3 + [True] * 2


async def test_each_worker_adds_its_places(capacity: LiveCapacity, numbers: Numbers) -> None:
    numbers.workers = 2
    assert sum(await asyncio.gather(*(submitted(capacity) for _ in range(5)))) == 4


async def test_a_freed_place_is_given_again(
    capacity: LiveCapacity, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_capacity, "_FULL_FRESH_S", 0.0)
    numbers.owners = [MINE, MINE]
    assert not await submitted(capacity)
    numbers.owners = [MINE]
    assert await submitted(capacity)


async def test_a_job_that_was_not_submitted_takes_no_place(capacity: LiveCapacity) -> None:
    with pytest.raises(ZeroDivisionError):
        async with capacity.admit(TWO, MINE):
            raise ZeroDivisionError
    assert [await submitted(capacity) for _ in range(3)] == [True, True, False]


async def test_the_database_is_not_queried_for_each_stream(capacity: LiveCapacity, numbers: Numbers) -> None:
    for _ in range(10):
        await submitted(capacity)
    assert numbers.queries <= 2


async def test_an_engine_without_a_bound_is_not_counted(capacity: LiveCapacity, numbers: Numbers) -> None:
    async with capacity.admit(ENGINE, MINE):
        pass
    assert numbers.queries == 0


async def test_an_account_has_half_of_the_places_while_others_want_one(
    capacity: LiveCapacity, numbers: Numbers
) -> None:
    numbers.workers = 2
    assert [await submitted(capacity) for _ in range(2)] == [True, True]
    assert [await submitted(capacity, OTHER), await submitted(capacity)] == [True, False]
    assert await submitted(capacity, OTHER)


async def test_a_refused_account_gets_the_next_place(
    capacity: LiveCapacity, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_capacity, "_FULL_FRESH_S", 0.0)
    numbers.owners = [MINE, MINE]
    assert not await submitted(capacity, OTHER)
    numbers.owners = [MINE]
    assert [await submitted(capacity), await submitted(capacity, OTHER)] == [False, True]


@pytest.fixture
def narrow(parrot: WorkerConnection, owner: psycopg.Connection[Any], api: ApiProcess) -> Generator[None]:
    """One more engine, which can speak to two listeners."""
    jobs_worker.publish(parrot, TWO, worker="w2")
    yield
    owner.execute("DELETE FROM cv.engine WHERE name = 'narrow'")


@pytest.mark.usefixtures("narrow")
def test_one_listener_too_many_gets_503_and_when_to_come_back(api: ApiProcess, person: Person) -> None:
    # The API knows the engine by now: the catalog is a second old at most.
    until(lambda: "Solo" in api.call("GET", "/api/v1/voices", person.key).text)
    body = {"text": "hello", "voice": "Solo", "format": "wav"}
    with ThreadPoolExecutor(2) as threads:
        streams = [threads.submit(api.call, "POST", STREAM, person.key, json=body) for _ in range(2)]
        until(lambda: len(jobs_of(api, person)) == 2)
        refused = api.call("POST", STREAM, person.key, json=body)
        later = api.call("POST", "/v1/tts", person.key, json=body)
        attached = api.call("GET", f"/tts/stream/{later.json()['job_id']}")
        for job in jobs_of(api, person):
            api.call("DELETE", f"/v1/jobs/{job}", person.key)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert "without stuttering" in refused.text
    assert later.status_code == 200
    assert (attached.status_code, attached.headers["retry-after"]) == (503, "2")
    assert {listener.result().status_code for listener in streams} != {503}
