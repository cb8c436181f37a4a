"""Questions of concurrent requests, asked together: one round trip's wait serves them all."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Generic, TypeVar

from app.domain.errors import ConnectionLost, Unavailable

_BATCH_MAX = 128
_DRAINERS_MAX = 2  # one batch is answered while the next is made; more wait for each other's rows

Q = TypeVar("Q")
A = TypeVar("A")


class Coalesced(Generic[Q, A]):
    """Asks at once while nothing is under way; what comes meanwhile goes together next.

    No timer: nobody waits for company. `ask_all` answers each question, in order; where it fails, each goes
    again alone, so it must bear to be asked twice. At most `waiting_max` are unanswered at a time.
    """

    def __init__(self, ask_all: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], *, waiting_max: int) -> None:
        self._ask_all = ask_all
        self._waiting_max = waiting_max
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._unanswered = 0
        self._drainers = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Q) -> A:
        """The answer. Raises what `ask_all` does of this question alone, and Unavailable beyond the bound.

        A caller who is cancelled before the question is sent has not asked; later, the answer is lost.
        """
        if self._unanswered >= self._waiting_max:
            raise Unavailable("Too many requests are waiting for the database.")
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._drainers < _DRAINERS_MAX:
            self._drainers += 1
            self._start(self._drain())
        self._unanswered += 1
        try:
            return await answer
        finally:
            self._unanswered -= 1

    def _start(self, work: Coroutine[None, None, None]) -> None:
        """Beside the requests: none of them, leaving, takes the others' answers along."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> None:
        try:
            while batch := self._next_batch():
                await self._ask_batch(batch)
        finally:
            self._drainers -= 1

    def _next_batch(self) -> "Sequence[tuple[Q, asyncio.Future[A]]]":
        batch: list[tuple[Q, asyncio.Future[A]]] = []
        while self._waiting and len(batch) < _BATCH_MAX:
            question, answer = self._waiting.popleft()
            if not answer.done():
                batch.append((question, answer))
        return batch

    async def _ask_batch(self, batch: "Sequence[tuple[Q, asyncio.Future[A]]]") -> None:
        try:
            found = await self._ask_all([question for question, _ in batch])
        except Exception as error:
            is_unsent = isinstance(error, Unavailable) and not isinstance(error, ConnectionLost)
            for question, answer in batch:
                if is_unsent:
                    _fail(answer, error)
                else:
                    self._start(self._ask_alone(question, answer))
            return
        for (_, answer), one in zip(batch, found, strict=True):
            if not answer.done():  # its caller may have left
                answer.set_result(one)

    async def _ask_alone(self, question: Q, answer: "asyncio.Future[A]") -> None:
        """Again, since its batch failed: with another's bad question, or with the connection."""
        try:
            (found,) = await self._ask_all([question])
        except Exception as error:
            _fail(answer, error)
            return
        if not answer.done():
            answer.set_result(found)


def _fail(answer: "asyncio.Future[A]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
