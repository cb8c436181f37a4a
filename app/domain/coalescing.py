"""Questions of concurrent requests, asked of the record together: one round trip's wait serves them all."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Generic, TypeVar

from app.domain.database import Database
from app.domain.errors import ConnectionLost, Contended, Unavailable
from db.postgres.pool import Connection

_BATCH_MAX = 128
_DRAINERS_MAX = 2  # one batch is answered while the next is made; more wait for each other's rows
_BATCHES_MAX = 32  # over one connection, before others get it

Q = TypeVar("Q")
A = TypeVar("A")


class Coalescer(Generic[Q, A]):
    """Asks at once while nothing is under way; what comes meanwhile goes together next.

    No timer: nobody waits for company. `ask_all` answers each question, in order; where it fails, each goes
    again alone, so it must bear to be asked twice. At most `waiting_max` are unanswered at a time.
    """

    def __init__(
        self,
        record: Database,
        ask_all: Callable[[Connection, Sequence[Q]], Awaitable[Sequence[A]]],
        *,
        waiting_max: int,
    ) -> None:
        self._record = record
        self._ask_all = ask_all
        self._waiting_max = waiting_max
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._unanswered = 0
        self._drainers = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, question: Q) -> "asyncio.Future[A]":
        """The answer, to be awaited: it raises what `ask_all` does of this question alone.

        Raises Unavailable beyond the bound. A caller who is cancelled before the question is sent has not
        asked; later, the answer is lost.
        """
        if self._unanswered >= self._waiting_max:
            raise Unavailable("Too many requests are waiting for the database.")
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        self._unanswered += 1
        if self._drainers < _DRAINERS_MAX:
            self._drainers += 1
            self._start(self._drain())
        return answer

    def _start(self, work: Coroutine[None, None, None]) -> None:
        """Beside the requests: none of them, leaving, takes the others' answers along."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._ask_some()
        finally:
            self._drainers -= 1

    async def _ask_some(self) -> None:
        """Batches over one connection: to take and give one back costs what several answers do."""
        batch: Sequence[tuple[Q, asyncio.Future[A]]] = []
        try:
            async with self._record.connection() as connection:
                for _ in range(_BATCHES_MAX):
                    if not (batch := self._next_batch()):
                        return
                    found = await self._ask_all(connection, [question for question, _ in batch])
                    for (_, answer), one in zip(batch, found, strict=True):
                        if not answer.done():  # its caller may have left
                            answer.set_result(one)
                    self._unanswered -= len(batch)
                    batch = []
        except Exception as error:
            self._failed(batch or self._next_batch(), error)

    def _next_batch(self) -> "Sequence[tuple[Q, asyncio.Future[A]]]":
        batch: list[tuple[Q, asyncio.Future[A]]] = []
        while self._waiting and len(batch) < _BATCH_MAX:
            question, answer = self._waiting.popleft()
            if answer.done():
                self._unanswered -= 1
            else:
                batch.append((question, answer))
        return batch

    def _failed(self, batch: "Sequence[tuple[Q, asyncio.Future[A]]]", error: Exception) -> None:
        is_unsent = isinstance(error, Unavailable) and not isinstance(error, (ConnectionLost, Contended))
        for question, answer in batch:
            if is_unsent:
                self._unanswered -= 1
                _fail(answer, error)
            else:
                self._start(self._ask_alone(question, answer))

    async def _ask_alone(self, question: Q, answer: "asyncio.Future[A]") -> None:
        """Again, since its batch failed: with another's bad question, or with the connection."""
        try:
            async with self._record.connection() as connection:
                (found,) = await self._ask_all(connection, [question])
        except Exception as error:
            _fail(answer, error)
        else:
            if not answer.done():
                answer.set_result(found)
        finally:
            self._unanswered -= 1


def _fail(answer: "asyncio.Future[A]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
