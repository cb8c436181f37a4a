"""Authenticates callers: finds the account of an API key, token or session, and caches it."""

import asyncio
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.database import Database
from app.domain.errors import ExpiredKey, InvalidKey, InvalidToken, MissingScope, RevokedKey, Suspended
from app.domain.identity.key_crypto import PREFIX, KeyRing, is_well_formed
from app.domain.identity.principal_cache import KeyUsageLog, PrincipalCache
from app.domain.identity.scopes import ADMIN
from app.domain.identity.tokens import Claims, Tokens
from db.postgres.models import Account, ApiKey, EndedSession
from db.postgres.queries import query
from db.postgres.repositories import ApiKeyRepository, lock_account, works
from db.types import UserType


class Principal(Struct, frozen=True, kw_only=True):
    """An authenticated caller. Empty `scopes` allow everything the account may do.

    `session` is the log-in of a token, None for a key; `ended` are the account's log-ins that were ended.
    """

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
    session: UUID | None = None
    ended: frozenset[UUID] = frozenset()

    @property
    def ends_at(self) -> datetime | None:
        """When its key expires or is revoked; None for never."""
        return min((end for end in (self.expires_at, self.revoked_at) if end is not None), default=None)

    def allow(self, scope: str) -> None:
        """Raise MissingScope unless the key has this scope; `admin` needs an administrator's account, too."""
        if (self.scopes and scope not in self.scopes) or (scope == ADMIN and not self.admin):
            raise MissingScope(scope)


class Principals:
    """Finds principals, and notes which keys are used. `CacheInvalidation` keeps the cache up to date."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        tokens: Tokens,
        *,
        principal_cache: PrincipalCache[Principal],
        uses: KeyUsageLog,
    ) -> None:
        self._database = database
        self._keys = keys
        self._tokens = tokens
        self._principal_cache = principal_cache
        self._uses = uses

    async def of_bearer(self, text: str) -> Principal:
        """The principal of an API key or a token, which the key's prefix distinguishes."""
        return await (self.of_key(text) if text.startswith(PREFIX[:3]) else self.of_token(text))

    async def of_key(self, text: str) -> Principal:
        """The principal of an API key. Raises InvalidKey, RevokedKey, ExpiredKey and Suspended."""
        if not text.isascii():
            raise InvalidKey
        digest = self._keys.digest(text)
        found = self._principal_cache.known(digest)
        if found is None and is_well_formed(text):
            found = await self._principal_cache.get(digest, lambda: self._by_key(digest))
        if found is None:
            raise InvalidKey
        _check_times(found)
        if found.key is not None:
            self._uses.add(found.key)
        return _not_suspended(found)

    async def of_token(self, text: str) -> Principal:
        """The principal of a token. Raises InvalidToken, ExpiredToken and Suspended."""
        return await self._of_claims(self._tokens.read(text))

    async def of_session(self, text: str) -> Principal:
        """The principal of a browser session. Raises InvalidToken, ExpiredToken and Suspended."""
        return await self._of_claims(self._tokens.read_session(text))

    async def _of_claims(self, claims: Claims) -> Principal:
        account = claims.account
        found = await self._principal_cache.get(account.bytes, lambda: self._by_account(account))
        if found is not None and found.epoch < claims.epoch:  # just issued by another API process
            self._principal_cache.forget({account})
            found = await self._principal_cache.get(account.bytes, lambda: self._by_account(account))
        if found is None or found.epoch != claims.epoch or claims.session in found.ended:
            raise InvalidToken
        return msgspec.structs.replace(_not_suspended(found), session=claims.session)

    def forget(self, account: UUID) -> None:
        """Remove the account and its keys from this process's cache."""
        self._principal_cache.forget({account})

    def watching(self, who: Principal, changed: asyncio.Event) -> AbstractContextManager[None]:
        """In the block, `changed` is set within a second of any change that may end the caller's access.

        Such a change is a log-out, a revoked key or a suspension.
        """
        return self._principal_cache.watching(who.account, changed)

    async def _by_key(self, digest: bytes) -> Principal | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(query("principal_by_key"), digest)
        return row and _principal(row, key=row["key"], scopes=frozenset(row["scopes"]),
                                  expires_at=row["expires_at"], revoked_at=row["revoked_at"])  # fmt: skip

    async def _by_account(self, account: UUID) -> Principal | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(query("principal_by_id"), account)
        return row and _principal(row, ended=frozenset(row["ended"]))


async def lock_caller(session: AsyncSession, who: Principal) -> Account:
    """The caller's account, locked until the commit; checks that the cached credential is still valid.

    For changes that outlast the credential. Call it before any lock on the account's keys, so that a password
    reset comes wholly before or after. Raises InvalidToken, InvalidKey and Suspended.
    """
    return await _checked(session, who, await lock_account(session, who.account))


async def check_caller(session: AsyncSession, who: Principal) -> None:
    """Raise as lock_caller does, without a lock: before showing the caller data read from the account."""
    await _checked(session, who, await session.get(Account, who.account))


async def _checked(session: AsyncSession, who: Principal, account: Account | None) -> Account:
    if account is None:
        raise InvalidToken
    if account.suspended:
        raise Suspended
    if who.key is not None:
        keys = ApiKeyRepository(session=session)
        if not await keys.exists(ApiKey.id == who.key, ApiKey.account == who.account, *works()):
            raise InvalidKey
    elif account.token_epoch != who.epoch or await is_log_in_ended(session, who.account, who.session):
        raise InvalidToken
    return account


async def is_log_in_ended(session: AsyncSession, account: UUID, log_in: UUID | None) -> bool:
    """Whether that log-in was ended by itself; a token issued before 0.2 names none."""
    return log_in is not None and await session.get(EndedSession, (account, log_in)) is not None


def _principal(row: Any, **more: Any) -> Principal:
    return Principal(
        account=row["id"],
        user_type=row["kind"],
        tier=row["tier"],
        admin=row["admin"],
        suspended=row["suspended"],
        epoch=row["token_epoch"],
        **more,
    )


def _check_times(found: Principal) -> None:
    if found.revoked_at is None and found.expires_at is None:
        return
    now = datetime.now(UTC)
    if found.revoked_at is not None and found.revoked_at <= now:
        raise RevokedKey
    if found.expires_at is not None and found.expires_at <= now:
        raise ExpiredKey


def _not_suspended(found: Principal) -> Principal:
    if found.suspended:
        raise Suspended
    return found
