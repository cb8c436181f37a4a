"""A cache of authenticated principals, and a log of used keys, in each API process."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Generator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar
from uuid import UUID

STALE_S_MAX = 1.0  # no cached caller is valid longer than this after the last poll of the database
_REMEMBERED_MAX = 10_000
_NOTED_S = 60.0


class Caller(Protocol):
    """Anything that belongs to an account."""

    @property
    def account(self) -> UUID: ...


C = TypeVar("C", bound=Caller)


class PrincipalCache(Generic[C]):
    """A small cache of callers; concurrent look-ups of one caller share one database query.

    An entry is valid for `remember_s`, but never longer than a second after the last successful poll of the
    database: by then `invalidate` has removed every account that changed.
    """

    def __init__(self, remember_s: float) -> None:
        self._remember_s = remember_s
        self._polled_at = -1e9
        self._known: dict[bytes, tuple[float, C]] = {}
        self._loading: dict[bytes, asyncio.Task[C | None]] = {}
        self._watching: dict[UUID, set[asyncio.Event]] = {}

    def known(self, name: bytes) -> C | None:
        """The cached caller of that name, if the entry is still valid."""
        known = self._known.get(name)
        return known[1] if known is not None and self._is_valid(known[0]) else None

    async def get(self, name: bytes, load: Callable[[], Awaitable[C | None]]) -> C | None:
        """The caller of that name, cached or from `load`; None if there is none."""
        if (known := self.known(name)) is not None:
            return known
        task = self._loading.get(name)
        if task is None:
            task = self._loading[name] = asyncio.create_task(self._load(name, load))
        return await asyncio.shield(task)

    @contextmanager
    def watching(self, account: UUID, changed: asyncio.Event) -> Generator[None]:
        """While in the block, `changed` is set whenever the account's entries are invalidated."""
        events = self._watching.setdefault(account, set())
        events.add(changed)
        try:
            yield
        finally:
            events.discard(changed)
            if not events:
                self._watching.pop(account, None)

    def invalidate(self, changed: Collection[UUID] | None, *, at: float) -> None:
        """Apply a poll begun at `at` (monotonic): the accounts changed since the last; None: perhaps all."""
        if changed is None:
            self._known.clear()
            self._loading.clear()
            self._notify(self._watching)
        else:
            self.forget(changed)
        self._polled_at = at

    def forget(self, accounts: Collection[UUID]) -> None:
        """Remove these accounts; look-ups under way are not cached, since their result may be older."""
        if not accounts:
            return
        self._loading.clear()
        for name in [name for name, (_, known) in self._known.items() if known.account in accounts]:
            del self._known[name]
        self._notify(accounts)

    def _notify(self, accounts: Collection[UUID]) -> None:
        for account in accounts:
            for event in self._watching.get(account, ()):
                event.set()

    def _is_valid(self, loaded_at: float) -> bool:
        now = time.monotonic()
        stale_s = now - max(loaded_at, self._polled_at)
        return now - loaded_at < self._remember_s and stale_s < STALE_S_MAX

    async def _load(self, name: bytes, load: Callable[[], Awaitable[C | None]]) -> C | None:
        loaded_at = time.monotonic()
        this = asyncio.current_task()
        try:
            found = await load()
        finally:
            is_current = self._loading.get(name) is this
            if is_current:
                del self._loading[name]
        self._known.pop(name, None)
        if found is not None and is_current:
            while len(self._known) >= _REMEMBERED_MAX:
                del self._known[next(iter(self._known))]
            self._known[name] = (loaded_at, found)
        return found


class KeyUsageLog:
    """Keys used recently and not yet recorded; each is returned at most once a minute."""

    def __init__(self) -> None:
        self._waiting: set[UUID] = set()
        self._noted: set[UUID] = set()
        self._noted_until = 0.0

    def add(self, key: UUID) -> None:
        """Note that this key was used now."""
        if key not in self._noted:
            self._waiting.add(key)

    def take(self) -> list[UUID]:
        """The keys to record now."""
        now = time.monotonic()
        if now > self._noted_until:
            self._noted.clear()
            self._noted_until = now + _NOTED_S
        taken, self._waiting = self._waiting, set()
        self._noted |= taken
        return list(taken)
