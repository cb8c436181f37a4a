"""Who is asking: an account, found by API key or token, remembered for a moment."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from app.domain.errors import ExpiredKey, InvalidKey, InvalidToken, MissingScope, RevokedKey, Suspended
from app.domain.keys import PREFIX, KeyRing, is_well_formed
from app.domain.record import Record
from app.domain.tokens import Tokens
from db.queries import query
from db.rows import UserType

_REMEMBERED_MAX = 10_000


class Principal(Struct, frozen=True, kw_only=True):
    """An account that asks. `scopes` empty: everything the account may do."""

    account: UUID
    user_type: UserType
    tier: int
    admin: bool
    suspended: bool
    epoch: int
    key: UUID | None = None
    scopes: frozenset[str] = frozenset()
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def allow(self, scope: str) -> None:
        """Raise MissingScope unless the key may do what `scope` names."""
        if self.scopes and scope not in self.scopes:
            raise MissingScope(scope)


class Principals:
    """Finds principals; one found is believed for `remember_s`: a revoked key lives no longer than that."""

    def __init__(self, record: Record, keys: KeyRing, tokens: Tokens, *, remember_s: float) -> None:
        self._record = record
        self._keys = keys
        self._tokens = tokens
        self._remembered = _Remembered(remember_s)

    async def of_bearer(self, text: str) -> Principal:
        """Whose API key or token this is, told apart by the key's prefix."""
        return await (self.of_key(text) if text.startswith(PREFIX[:3]) else self.of_token(text))

    async def of_key(self, text: str) -> Principal:
        """Whose API key this is. Raises InvalidKey, RevokedKey, ExpiredKey and Suspended."""
        if not is_well_formed(text):
            raise InvalidKey
        digest = self._keys.digest(text)
        found = await self._remembered.get(digest, lambda: self._by_key(digest))
        if found is None:
            raise InvalidKey
        if found.revoked_at is not None:
            raise RevokedKey
        if found.expires_at is not None and found.expires_at <= datetime.now(UTC):
            raise ExpiredKey
        return _not_suspended(found)

    async def of_token(self, text: str) -> Principal:
        """Whose token this is. Raises InvalidToken, ExpiredToken and Suspended."""
        claims = self._tokens.read(text)
        account = claims.account
        found = await self._remembered.get(account.bytes, lambda: self._by_account(account))
        if found is None or found.epoch != claims.epoch:
            raise InvalidToken
        return _not_suspended(found)

    def forget(self, who: Principal) -> None:
        """Look this account up anew next time."""
        self._remembered.forget(who.account.bytes)

    async def _by_key(self, digest: bytes) -> Principal | None:
        async with self._record.connection() as connection:
            row = await connection.fetchrow(query("principal_by_key"), digest)
        return row and _principal(row, key=row["key"], scopes=frozenset(row["scopes"]),
                                  expires_at=row["expires_at"], revoked_at=row["revoked_at"])  # fmt: skip

    async def _by_account(self, account: UUID) -> Principal | None:
        async with self._record.connection() as connection:
            row = await connection.fetchrow(query("principal_by_id"), account)
        return row and _principal(row)


def _principal(row: Any, **key: Any) -> Principal:
    return Principal(
        account=row["id"],
        user_type=row["kind"],
        tier=row["tier"],
        admin=row["admin"],
        suspended=row["suspended"],
        epoch=row["token_epoch"],
        **key,
    )


def _not_suspended(found: Principal) -> Principal:
    if found.suspended:
        raise Suspended
    return found


class _Remembered:
    """A small cache of what was found; concurrent questions for one key ask the database once."""

    def __init__(self, remember_s: float) -> None:
        self._remember_s = remember_s
        self._found: dict[bytes, tuple[float, Principal]] = {}
        self._asking: dict[bytes, asyncio.Task[Principal | None]] = {}

    async def get(self, key: bytes, ask: Callable[[], Awaitable[Principal | None]]) -> Principal | None:
        known = self._found.get(key)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key, ask))
        return await asyncio.shield(task)

    def forget(self, key: bytes) -> None:
        self._found.pop(key, None)
        self._asking.pop(key, None)

    async def _ask(self, key: bytes, ask: Callable[[], Awaitable[Principal | None]]) -> Principal | None:
        until = time.monotonic() + self._remember_s
        this = asyncio.current_task()
        try:
            found = await ask()
        finally:
            is_current = self._asking.get(key) is this
            if is_current:
                del self._asking[key]
        self._found.pop(key, None)
        if found is not None and is_current:
            while len(self._found) >= _REMEMBERED_MAX:
                del self._found[next(iter(self._found))]
            self._found[key] = (until, found)
        return found
