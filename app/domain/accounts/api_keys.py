"""An account's API keys: list, create, reveal, rotate, revoke."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from advanced_alchemy.filters import LimitOffset
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.database import Database
from app.domain.errors import Invalid, NotFound, TooLate, TooManyKeys
from app.domain.identity import scopes
from app.domain.identity.key_crypto import KeyRing
from app.domain.identity.principals import Principal, Principals, check_caller, lock_caller
from app.domain.speech.validation import is_one_line, is_unicode
from db.postgres.models import ApiKey
from db.postgres.repositories import ApiKeyRepository, is_ahead, lock_account, works

_LISTED_MAX = 200
_NAME_CHARACTERS_MAX = 100
_LIFE_DAYS_MAX = 3650
_GRACE_S_MAX = 24 * 3600
# The personal key before the others that work, then the last revoked.
_WORKING_FIRST: list[Any] = [
    ApiKey.revoked_at.desc().nulls_first(),
    ApiKey.personal.desc(),
    ApiKey.created_at.asc(),
    ApiKey.id.asc(),
]


class KeyRow(Struct, frozen=True, kw_only=True):
    """A key, without its text. `revoked_at` is in the future during a rotated key's grace period."""

    id: UUID
    account: UUID
    name: str
    prefix: str
    scopes: list[str]
    personal: bool
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class Key(KeyRow, frozen=True, kw_only=True):
    """A key for its account; `text` is the key itself, if it is revealed."""

    text: str | None = None


class NewKey(Struct, frozen=True, kw_only=True):
    """The name, scopes and expiry of a key to be created."""

    name: str
    scopes: list[str]
    expires_at: datetime | None = None
    personal: bool = False


class ApiKeys:
    """The caller's keys. A caller restricted to scopes cannot create, see or revoke a key that may do more.

    If the caller's log-in or key has ended meanwhile, changes and reveals raise what lock_caller raises.
    """

    def __init__(
        self,
        database: Database,
        ring: KeyRing,
        principals: Principals,
        *,
        keys_max: int,
        reveal: Literal["always", "once"],
    ) -> None:
        self._database = database
        self._ring = ring
        self._principals = principals
        self._keys_max = keys_max
        self.reveal: Literal["always", "once"] = reveal
        self._keep_sealed = reveal == "always"

    async def all_of(self, who: Principal) -> list[Key]:
        """The working keys, the personal one first, then the last revoked; of the first 200 those within the
        caller's scopes.
        """
        async with self._database.session() as session:
            rows = await ApiKeyRepository(session=session).get_many(
                LimitOffset(_LISTED_MAX, 0), account=who.account, order_by=_WORKING_FIRST
            )
        return [_key(row) for row in rows if scopes.is_within(row.scopes, own=who.scopes)]

    async def one(self, who: Principal, key_id: str, *, reveal: bool) -> Key:
        """One key; with `reveal` its text too, if the operator allows it and a sealed copy is kept.

        Raises NotFound, ScopeTooWide, and with `reveal` as check_caller.
        """
        async with self._database.session() as session:
            row = await _find(session, who, key_id)
            if reveal:
                await check_caller(session, who)
        scopes.check_within(row.scopes, own=who.scopes, is_admin=who.admin or not reveal)
        if not reveal or row.sealed is None or self.reveal != "always":
            return _key(row)
        return _key(row, self._ring.unseal(row.sealed, row.id))

    async def personal(self, who: Principal) -> str | None:
        """The personal key's text, if the operator allows revealing it and the key still works."""
        if self.reveal != "always":
            return None
        async with self._database.session() as session:
            text = await personal_key(session, self._ring, who.account)
            await check_caller(session, who)
        return text

    async def create(self, who: Principal, wanted: NewKey) -> Key:
        """Create a key; return it with its text. Raises Invalid, ScopeTooWide, TooManyKeys."""
        wanted = _checked(wanted)
        scopes.check_within(wanted.scopes, own=who.scopes, is_admin=who.admin)
        async with self._database.session() as session:
            await lock_caller(session, who)
            await check_key_limit(session, who.account, self._keys_max)
            made = await add_key(session, self._ring, who.account, wanted, keep_sealed=self._keep_sealed)
        return _key(*made)

    async def rotate(self, who: Principal, key_id: str, *, grace_s: int) -> Key:
        """Replace a key by a new one; the old one keeps working, and counting, for `grace_s`.

        Raises NotFound, TooLate, TooManyKeys.
        """
        check_grace(grace_s)
        async with self._database.session() as session:
            await lock_caller(session, who)
            old = await _find(session, who, key_id, for_update=True)
            scopes.check_within(old.scopes, own=who.scopes, is_admin=who.admin)
            if old.revoked_at is not None or _is_past(old.expires_at):
                raise TooLate("This key is revoked or expired already. Create a new one.")
            await ApiKeyRepository(session=session).revoke(old, grace_s=grace_s)
            await check_key_limit(session, who.account, self._keys_max)
            made = await add_key(session, self._ring, who.account, like(old), keep_sealed=self._keep_sealed)
        self._principals.forget(who.account)
        return _key(*made)

    async def revoke(self, who: Principal, key_id: str) -> None:
        """Revoke a key now; one revoked already stays as it is. Raises NotFound and ScopeTooWide."""
        async with self._database.session() as session:
            await lock_caller(session, who)
            key = await _find(session, who, key_id, for_update=True)
            scopes.check_within(key.scopes, own=who.scopes, is_admin=True)
            await ApiKeyRepository(session=session).revoke(key)
        self._principals.forget(who.account)


async def personal_key(session: AsyncSession, ring: KeyRing, account: UUID) -> str | None:
    """The text of the account's personal key, if the key works and a sealed copy is kept."""
    found = await ApiKeyRepository(session=session).get_many(
        LimitOffset(1, 0),
        is_ahead(ApiKey.expires_at),
        account=account,
        personal=True,
        revoked_at=None,
        order_by=_WORKING_FIRST,
    )
    return ring.unseal(found[0].sealed, found[0].id) if found and found[0].sealed else None


async def add_key(
    session: AsyncSession, ring: KeyRing, account: UUID, wanted: NewKey, *, keep_sealed: bool
) -> tuple[ApiKey, str]:
    """Add a key; returns its row, and its text, which is stored only sealed, or not at all."""
    key_id = uuid4()
    made = ring.make(key_id)
    row = ApiKey(
        id=key_id,
        account=account,
        prefix=made.prefix,
        digest=made.digest,
        sealed=made.sealed if keep_sealed else None,
        **msgspec.structs.asdict(wanted),
    )
    return await ApiKeyRepository(session=session).add(row), made.text


def like(old: ApiKey) -> NewKey:
    """A key to take the place of an old one."""
    return msgspec.convert(old, NewKey, from_attributes=True)


def check_grace(grace_s: int) -> None:
    """Raise Invalid unless a replaced key may keep working for so long."""
    if not 0 <= grace_s <= _GRACE_S_MAX:
        limit = [0, _GRACE_S_MAX]
        raise Invalid(f"The grace is 0 to {_GRACE_S_MAX} seconds.", field="grace_s", limit=limit)


async def check_key_limit(session: AsyncSession, account: UUID, keys_max: int) -> None:
    """Raise TooManyKeys if the account has `keys_max` working keys. Locks the account against races."""
    await lock_account(session, account)
    if await ApiKeyRepository(session=session).count(ApiKey.account == account, *works()) >= keys_max:
        message = f"An account has at most {keys_max} keys that work. Revoke one you no longer need."
        raise TooManyKeys(message, limit=keys_max)


def clean_key_name(name: str) -> str:
    """A key's name, trimmed. Raises Invalid."""
    name = name.strip()
    if not 0 < len(name) <= _NAME_CHARACTERS_MAX or not is_one_line(name) or not is_unicode(name):
        limit = [1, _NAME_CHARACTERS_MAX]
        raise Invalid(
            f"A key's name has 1 to {_NAME_CHARACTERS_MAX} characters, on one line.",
            field="name",
            limit=limit,
        )
    return name


def _checked(wanted: NewKey) -> NewKey:
    name = clean_key_name(wanted.name)
    now = datetime.now(UTC)
    if wanted.expires_at and not now < wanted.expires_at <= now + timedelta(days=_LIFE_DAYS_MAX):
        message = f"A key expires within the next {_LIFE_DAYS_MAX} days, or never."
        raise Invalid(message, field="expires_at", limit=_LIFE_DAYS_MAX)
    return NewKey(name=name, scopes=scopes.checked(wanted.scopes), expires_at=wanted.expires_at)


async def _find(session: AsyncSession, who: Principal, key_id: str, *, for_update: bool = False) -> ApiKey:
    identifier = _uuid(key_id)
    found = identifier and await session.get(ApiKey, identifier, with_for_update=for_update)
    if not found or found.account != who.account:
        raise NotFound("There is no such key.")
    return found


def _key(row: ApiKey, text: str | None = None) -> Key:
    return msgspec.structs.replace(msgspec.convert(row, Key, from_attributes=True), text=text)


def _is_past(end: datetime | None) -> bool:
    return end is not None and end <= datetime.now(UTC)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
