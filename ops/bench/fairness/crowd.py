"""Other accounts' jobs for one engine, queued in the database directly: hundreds need no log-in."""

import asyncio
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from uuid import UUID, uuid4

import asyncpg
import psycopg
from msgspec import Struct

from db.postgres import jobs_api, ledger
from db.types import MICRO, NewJob, SpeechParams
from ops.bench import BenchError
from ops.stack.running import Stack

_LANGUAGE = "en-US"
_WAIT_S_MAX = 3600
_BEGUN_S_MAX = 120
_DONE_S_MAX = 600
_POLL_S = 0.1
_AT_WORK = "SELECT count(*)::int FROM cv.job WHERE id = ANY(%s) AND state = 'processing'"
_DONE = """SELECT count(*) FILTER (WHERE state = 'completed')::int,
  count(*) FILTER (WHERE state <> 'completed' AND finished_at IS NOT NULL)::int,
  coalesce(extract(epoch FROM max(finished_at) - min(started_at)), 0)::float8
FROM cv.job WHERE id = ANY(%s)"""


class Crowd(Struct, frozen=True, kw_only=True):
    """Accounts that use an engine's voice. `cost_us`: the cost per character that the API expects."""

    stack: Stack
    engine: str
    voice: str
    cost_us: int

    @contextmanager
    def queued(self, texts: Sequence[str], *, accounts: int, speed: float, at_work: float) -> Generator[None]:
        """Keep these texts queued for the block, by so many accounts, at least `at_work` of them begun."""
        made = asyncio.run(self._submit(texts, accounts, speed))
        try:
            with psycopg.connect(self.stack.database_url, autocommit=True) as connection:
                _until_begun(connection, list(made), at_work)
            yield
        finally:
            asyncio.run(self._cancel(made))

    def took_s(self, texts: Sequence[str], *, accounts: int) -> float:
        """Seconds from the first job's start until the last has ended. Raises BenchError if one fails."""
        made = asyncio.run(self._submit(texts, accounts, speed=1.0))
        deadline = time.monotonic() + _DONE_S_MAX
        with psycopg.connect(self.stack.database_url, autocommit=True) as connection:
            while True:
                row = connection.execute(_DONE, (list(made),)).fetchone()
                completed, failed, seconds = row or (0, 0, 0.0)
                if completed == len(made):
                    return seconds
                if failed or time.monotonic() > deadline:
                    raise BenchError(f"{completed} of {len(made)} jobs were completed, {failed} failed")
                time.sleep(_POLL_S)

    async def _submit(self, texts: Sequence[str], accounts: int, speed: float) -> dict[UUID, UUID]:
        """The jobs, each with its owner."""
        connection = await asyncpg.connect(self.stack.database_url)
        try:
            owners = [uuid4() for _ in range(accounts)]
            for owner in owners:
                await ledger.open_wallet(connection, owner, kind="api_only", tier=1, unlimited=True)
            wanted = [self._job(owners[number % accounts], text, speed) for number, text in enumerate(texts)]
            answers = await jobs_api.submit(connection, wanted, wait_s_max=_WAIT_S_MAX, open_max=len(texts))
        finally:
            await connection.close()
        if {answer.code for answer in answers} != {"queued"}:
            raise BenchError(f"jobs were not queued: {answers[0].code}")
        return {job.id: job.owner for job in wanted}

    def _job(self, owner: UUID, text: str, speed: float) -> NewJob:
        params = SpeechParams(text=text, voice=self.voice, language=_LANGUAGE, speed=speed)
        return NewJob(
            id=uuid4(),
            owner=owner,
            kind="speech",
            engine=self.engine,
            lane=self.voice,
            params=params,
            hold=MICRO,
            characters=len(text),
            cost_us=self.cost_us * len(text),
        )

    async def _cancel(self, made: dict[UUID, UUID]) -> None:
        connection = await asyncpg.connect(self.stack.database_url)
        try:
            for job, owner in made.items():
                await jobs_api.cancel(connection, job, owner=owner, actor="bench")
        finally:
            await connection.close()


def _until_begun(connection: psycopg.Connection, made: Sequence[UUID], at_work: float) -> None:
    deadline = time.monotonic() + _BEGUN_S_MAX
    while True:
        (begun,) = connection.execute(_AT_WORK, (made,)).fetchone() or (0,)
        if begun >= at_work:
            return
        if time.monotonic() > deadline:
            raise BenchError(f"{begun} of {at_work} jobs were begun in {_BEGUN_S_MAX} s")
        time.sleep(_POLL_S)
