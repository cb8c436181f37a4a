"""A cached value that concurrent callers refresh by one shared read."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from app.domain.errors import Unavailable

T = TypeVar("T")


class SharedValue(Generic[T]):
    """`current` returns the value at once while it is younger than `fresh_s`; an older one is read again.

    Up to `stale_s` the old value is returned if the read fails, or takes longer than `wait_s`. Beyond that,
    and before the first read has succeeded, `current` waits for the read and raises what that raises.
    """

    def __init__(
        self, read: Callable[[], Awaitable[T]], *, fresh_s: float, stale_s: float, wait_s: float = 0.0
    ) -> None:
        self._read = read
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._wait_s = wait_s
        self._value: T | None = None
        self._read_at = float("-inf")
        self._reading: asyncio.Task[T] | None = None

    @property
    def value(self) -> T | None:
        """The last value read, of any age; None before the first read."""
        return self._value

    @property
    def age_s(self) -> float:
        """Seconds since the last successful read began."""
        return time.monotonic() - self._read_at

    async def current(self) -> T:
        """The value, as fresh as the class promises."""
        if self._value is not None and self.age_s <= self._fresh_s:
            return self._value
        reading = self._started()
        if self._value is not None and self.age_s <= self._stale_s:
            if self._wait_s:
                await asyncio.wait({reading}, timeout=self._wait_s)
            return self._value
        return await asyncio.shield(reading)

    async def read(self) -> T:
        """The value of the read under way, or of a new one. Raises what the read raises."""
        return await asyncio.shield(self._started())

    async def ended(self) -> None:
        """Return when no read is under way."""
        if self._reading is not None:
            await asyncio.wait({self._reading})

    def _started(self) -> "asyncio.Task[T]":
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_and_store())
            self._reading.add_done_callback(self._ended)
        return self._reading

    async def _read_and_store(self) -> T:
        began = time.monotonic()
        self._value = await self._read()
        self._read_at = began
        return self._value

    def _ended(self, task: "asyncio.Task[T]") -> None:
        self._reading = None
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, Unavailable):
            structlog.get_logger().error("not_read", exc_info=error)
