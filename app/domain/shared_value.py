"""A value read from elsewhere and kept for a while: however many ask for it, one reading is under way."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from app.domain.errors import Unavailable

T = TypeVar("T")


class SharedValue(Generic[T]):
    """`current` answers at once while the value is younger than `fresh_s`; an older one is read anew.

    Up to `stale_s` the old value is given where the reading fails, or takes longer than `wait_s`; beyond
    that, and before the first one, `current` waits for the reading, and raises what that raises.
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
        """The last one read, however old; None before the first."""
        return self._value

    @property
    def age_s(self) -> float:
        """Since the last reading that succeeded began."""
        return time.monotonic() - self._read_at

    async def current(self) -> T:
        """The value, as fresh as the class says."""
        if self._value is not None and self.age_s <= self._fresh_s:
            return self._value
        reading = self._started()
        if self._value is not None and self.age_s <= self._stale_s:
            if self._wait_s:
                await asyncio.wait({reading}, timeout=self._wait_s)
            return self._value
        return await asyncio.shield(reading)

    async def read(self) -> T:
        """The value by the reading under way, or by a new one. Raises what that raises."""
        return await asyncio.shield(self._started())

    async def ended(self) -> None:
        """Return when no reading is under way."""
        if self._reading is not None:
            await asyncio.wait({self._reading})

    def _started(self) -> "asyncio.Task[T]":
        if self._reading is None:
            self._reading = asyncio.create_task(self._keep())
            self._reading.add_done_callback(self._over)
        return self._reading

    async def _keep(self) -> T:
        began = time.monotonic()
        self._value = await self._read()
        self._read_at = began
        return self._value

    def _over(self, task: "asyncio.Task[T]") -> None:
        self._reading = None
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, Unavailable):
            structlog.get_logger().error("not_read", exc_info=error)
