"""Coalesces database requests of concurrent callers into batches that share one round trip."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Generic, TypeVar

from app.domain.database import Database
from app.domain.errors import ConnectionLost, Contended, Unavailable
from db.postgres.pool import Connection

_BATCH_MAX = 128
_DRAINERS_MAX = 2  # the next batch is filled while one executes; more would wait for each other's row locks
_BATCHES_MAX = 32  # over one connection, before it is returned to the pool

Q = TypeVar("Q")
A = TypeVar("A")


class Coalescer(Generic[Q, A]):
    """Sends a request at once when idle; requests submitted during a round trip form the next batch.

    There is no timer: no request is delayed to fill a batch. `execute` returns one response for each request,
    in order. If it fails, each request of the batch is sent again alone, so it must be idempotent. At most
    `waiting_max` requests are unanswered at a time.
    """

    def __init__(
        self,
        database: Database,
        execute: Callable[[Connection, Sequence[Q]], Awaitable[Sequence[A]]],
        *,
        waiting_max: int,
    ) -> None:
        self._database = database
        self._execute = execute
        self._waiting_max = waiting_max
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._unanswered = 0
        self._drainers = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, request: Q) -> "asyncio.Future[A]":
        """Queue a request; return a future of its response, which raises what `execute` raises for it alone.

        Raises Unavailable beyond `waiting_max`. A request whose future is cancelled before it is sent is
        dropped; if it is cancelled later, the response is discarded.
        """
        if self._unanswered >= self._waiting_max:
            raise Unavailable("Too many requests are waiting for the database.")
        response: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, response))
        self._unanswered += 1
        if self._drainers < _DRAINERS_MAX:
            self._drainers += 1
            self._start(self._drain())
        return response

    def _start(self, work: Coroutine[None, None, None]) -> None:
        """Run `work` in its own task, so that one cancelled caller does not cancel the others' responses."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._send_batches()
        finally:
            self._drainers -= 1

    async def _send_batches(self) -> None:
        """Send batches over one connection: to acquire and release one costs as much as several responses."""
        batch: Sequence[tuple[Q, asyncio.Future[A]]] = []
        try:
            async with self._database.connection() as connection:
                for _ in range(_BATCHES_MAX):
                    if not (batch := self._next_batch()):
                        return
                    found = await self._execute(connection, [request for request, _ in batch])
                    for (_, response), one in zip(batch, found, strict=True):
                        if not response.done():  # its caller may have been cancelled
                            response.set_result(one)
                    self._unanswered -= len(batch)
                    batch = []
        except Exception as error:
            self._failed(batch or self._next_batch(), error)

    def _next_batch(self) -> "Sequence[tuple[Q, asyncio.Future[A]]]":
        batch: list[tuple[Q, asyncio.Future[A]]] = []
        while self._waiting and len(batch) < _BATCH_MAX:
            request, response = self._waiting.popleft()
            if response.done():
                self._unanswered -= 1
            else:
                batch.append((request, response))
        return batch

    def _failed(self, batch: "Sequence[tuple[Q, asyncio.Future[A]]]", error: Exception) -> None:
        is_unsent = isinstance(error, Unavailable) and not isinstance(error, (ConnectionLost, Contended))
        for request, response in batch:
            if is_unsent:
                self._unanswered -= 1
                _fail(response, error)
            else:
                self._start(self._send_alone(request, response))

    async def _send_alone(self, request: Q, response: "asyncio.Future[A]") -> None:
        """Send a request again alone, after its batch failed for a bad request or a lost connection."""
        try:
            async with self._database.connection() as connection:
                (found,) = await self._execute(connection, [request])
        except Exception as error:
            _fail(response, error)
        else:
            if not response.done():
                response.set_result(found)
        finally:
            self._unanswered -= 1


def _fail(response: "asyncio.Future[A]", error: Exception) -> None:
    if not response.done():
        response.set_exception(error)
