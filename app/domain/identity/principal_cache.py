"""What a front door keeps in mind of callers: who they are, for a while, and which keys they used."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Generator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar
from uuid import UUID

UNHEARD_S_MAX = 1.0  # without news from the database nobody is believed longer
_REMEMBERED_MAX = 10_000
_NOTED_S = 60.0


class Caller(Protocol):
    """Anything that belongs to an account."""

    @property
    def account(self) -> UUID: ...


C = TypeVar("C", bound=Caller)


class PrincipalCache(Generic[C]):
    """A small cache of callers; concurrent questions for one ask the database once.

    One is believed for `remember_s`, but never more than a second after the database was last heard: as of
    then, `hear` has taken out every account that changed.
    """

    def __init__(self, remember_s: float) -> None:
        self._remember_s = remember_s
        self._heard_at = -1e9
        self._known: dict[bytes, tuple[float, C]] = {}
        self._asking: dict[bytes, asyncio.Task[C | None]] = {}
        self._watching: dict[UUID, set[asyncio.Event]] = {}

    def known(self, name: bytes) -> C | None:
        """The caller of that name, where it is remembered and still believed."""
        known = self._known.get(name)
        return known[1] if known is not None and self._is_believed(known[0]) else None

    async def get(self, name: bytes, ask: Callable[[], Awaitable[C | None]]) -> C | None:
        """The caller of that name, remembered or asked for."""
        if (known := self.known(name)) is not None:
            return known
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = asyncio.create_task(self._ask(name, ask))
        return await asyncio.shield(task)

    @contextmanager
    def watching(self, account: UUID, changed: asyncio.Event) -> Generator[None]:
        """For the block, `changed` is set whenever the account is to be asked for anew."""
        events = self._watching.setdefault(account, set())
        events.add(changed)
        try:
            yield
        finally:
            events.discard(changed)
            if not events:
                self._watching.pop(account, None)

    def invalidate(self, changed: Collection[UUID] | None, *, at: float) -> None:
        """News from the database, asked for `at`: accounts that changed since the last; None: perhaps all."""
        if changed is None:
            self._known.clear()
            self._asking.clear()
            self._tell(self._watching)
        else:
            self.forget(changed)
        self._heard_at = at

    def forget(self, accounts: Collection[UUID]) -> None:
        """Ask for these accounts anew; answers still on their way are not kept, for they may be older."""
        if not accounts:
            return
        self._asking.clear()
        for name in [name for name, (_, known) in self._known.items() if known.account in accounts]:
            del self._known[name]
        self._tell(accounts)

    def _tell(self, accounts: Collection[UUID]) -> None:
        for account in accounts:
            for event in self._watching.get(account, ()):
                event.set()

    def _is_believed(self, asked_at: float) -> bool:
        now = time.monotonic()
        unheard_s = now - max(asked_at, self._heard_at)
        return now - asked_at < self._remember_s and unheard_s < UNHEARD_S_MAX

    async def _ask(self, name: bytes, ask: Callable[[], Awaitable[C | None]]) -> C | None:
        asked_at = time.monotonic()
        this = asyncio.current_task()
        try:
            found = await ask()
        finally:
            is_current = self._asking.get(name) is this
            if is_current:
                del self._asking[name]
        self._known.pop(name, None)
        if found is not None and is_current:
            while len(self._known) >= _REMEMBERED_MAX:
                del self._known[next(iter(self._known))]
            self._known[name] = (asked_at, found)
        return found


class KeyUsageLog:
    """Keys used lately and not yet written down; each is given out once a minute."""

    def __init__(self) -> None:
        self._waiting: set[UUID] = set()
        self._noted: set[UUID] = set()
        self._noted_until = 0.0

    def add(self, key: UUID) -> None:
        """This key was used now."""
        if key not in self._noted:
            self._waiting.add(key)

    def take(self) -> list[UUID]:
        """The keys to write down."""
        now = time.monotonic()
        if now > self._noted_until:
            self._noted.clear()
            self._noted_until = now + _NOTED_S
        taken, self._waiting = self._waiting, set()
        self._noted |= taken
        return list(taken)
