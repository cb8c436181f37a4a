"""Password hashing: argon2id in its own threads, so that a flood of log-ins is bounded in CPU and memory."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from app.domain.errors import Unavailable

T = TypeVar("T")

# No account's password: verified if there is no account, so that both responses take the same time.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzIQ$sZk7V1kqCVB0oV5mJZ3hOq1E6dZ0u7l3mN5fT8yXwJA"


class Hasher(Protocol):
    """The interface of argon2's PasswordHasher."""

    def hash(self, password: str, /) -> str: ...
    def verify(self, hash: str, password: str, /) -> bool: ...
    def check_needs_rehash(self, hash: str, /) -> bool: ...


def argon2id() -> Hasher:
    """A hasher with OWASP's parameters: 19 MiB, two passes, one lane."""
    return argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class PasswordHasher:
    """Hashes and verifies passwords. Raises Unavailable beyond `waiting_max` waiting calls."""

    def __init__(self, hasher: Hasher, *, threads: int, waiting_max: int) -> None:
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._free = threads + waiting_max

    async def hash(self, password: str) -> str:
        """The hash to store."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether `password` matches the hash; takes the same time if there is none."""
        return await self._run(lambda: self._matches(kept or _NOBODY, password)) and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether the hash was made with other than the current parameters."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """Release the threads; waiting calls are cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._free <= 0:
            raise Unavailable("Too many people are logging in at once. Please try again in a moment.")
        self._free -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._free += 1
