"""Operators' operations on any account's keys: list, create, rotate, revoke."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET, Struct, UnsetType

from app.domain.accounts.api_keys import check_key_limit, clean_key_name
from app.domain.admin.operations import (
    AdminOperation,
    find_replay,
    identifier,
    raw_connection,
    record_operation,
    resolve_account,
)
from app.domain.errors import Invalid, NotFound, TooLate
from app.domain.identity import scopes
from app.domain.identity.key_crypto import KeyRing
from app.domain.pagination import Page, page
from db.postgres.pool import Connection
from db.postgres.queries import query

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

_GRACE_S_MAX = 24 * 3600


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


class KeyOperationResult(KeyRow, frozen=True, kw_only=True):
    """An operation's result; `key`, the text of a new key, is shown only once, and null where replayed."""

    code: str
    key: str | UnsetType | None = UNSET


async def list_keys(
    connection: Connection, account: str, *, limit: int = 50, cursor: str | None = None
) -> Page[KeyRow]:
    """An account's keys, newest first."""
    owner = await resolve_account(connection, account)
    return await page(
        connection, query("admin_keys"), owner, limit=limit, cursor=cursor, make=_row, mark="id"
    )


async def create_key(
    session: "AsyncSession",
    act: AdminOperation,
    keys: KeyRing,
    account: str,
    *,
    name: str,
    wanted: Sequence[str],
    keep_sealed: bool,
    keys_max: int,
) -> KeyOperationResult:
    """Create a key restricted to the `wanted` scopes; none: all the account may do. Raises TooManyKeys."""
    connection = await raw_connection(session)
    owner, name, allowed = (
        await resolve_account(connection, account),
        clean_key_name(name),
        scopes.checked(wanted),
    )
    details = {"name": name, "scopes": allowed}
    before = await find_replay(connection, act, "create_key", owner, details)
    if before:
        return await _acted(connection, UUID(before.details["key"]), "replayed", key=None)
    await check_key_limit(session, owner, keys_max)
    made = await _add(session, keys, owner, name, allowed, keep_sealed=keep_sealed)
    await record_operation(connection, act, "create_key", owner, {**details, "key": str(made[0])})
    return await _acted(connection, made[0], "created", key=made[1])


async def rotate_key(
    session: "AsyncSession",
    act: AdminOperation,
    keys: KeyRing,
    key: str,
    *,
    grace_s: int,
    keep_sealed: bool,
    keys_max: int,
) -> KeyOperationResult:
    """Replace a key, which keeps working for `grace_s`. Raises Invalid, NotFound, TooLate, TooManyKeys."""
    if not 0 <= grace_s <= _GRACE_S_MAX:
        limit = [0, _GRACE_S_MAX]
        raise Invalid(f"The grace is 0 to {_GRACE_S_MAX} seconds.", field="grace_s", limit=limit)
    from db.postgres.repositories import key_of, lock_account, revoke_key

    connection = await raw_connection(session)
    old = await _find(connection, key)
    before = await find_replay(connection, act, "rotate_key", old.account, {"old": str(old.id)})
    if before:
        return await _acted(connection, UUID(before.details["key"]), "replayed", key=None)
    await lock_account(session, old.account)  # before its keys: the lock order used everywhere
    locked = await key_of(session, old.account, old.id, for_update=True)
    if locked is None or locked.revoked_at is not None:
        raise TooLate("This key is revoked already. Create a new one.")
    await revoke_key(session, old.account, old.id, grace_s=grace_s)
    await check_key_limit(session, old.account, keys_max)
    key_id, text = await _add(
        session,
        keys,
        old.account,
        old.name,
        old.scopes,
        keep_sealed=keep_sealed,
        expires_at=old.expires_at,
        personal=old.personal,
    )
    await record_operation(
        connection, act, "rotate_key", old.account, {"old": str(old.id), "key": str(key_id)}
    )
    return await _acted(connection, key_id, "rotated", key=text)


async def revoke_key(session: "AsyncSession", act: AdminOperation, key: str) -> KeyOperationResult:
    """Revoke a key now; one revoked already stays as it is. Raises NotFound."""
    from db.postgres import repositories

    connection = await raw_connection(session)
    found = await _find(connection, key)
    details = {"key": str(found.id)}
    if await find_replay(connection, act, "revoke_key", found.account, details):
        return await _acted(connection, found.id, "replayed")
    await repositories.revoke_key(session, found.account, found.id)
    await record_operation(connection, act, "revoke_key", found.account, details)
    return await _acted(connection, found.id, "revoked")


async def _find(connection: Connection, key: str) -> KeyRow:
    row = await connection.fetchrow(query("admin_key"), identifier(key, "key"))
    if row is None:
        raise NotFound("There is no such key. Name it by its id.", field="key")
    return _row(row)


async def _add(
    session: "AsyncSession",
    keys: KeyRing,
    account: UUID,
    name: str,
    allowed: list[str],
    *,
    keep_sealed: bool,
    expires_at: datetime | None = None,
    personal: bool = False,
) -> tuple[UUID, str]:
    from db.postgres.models import ApiKey
    from db.postgres.repositories import add_key

    key_id = uuid4()
    made = keys.make(key_id)
    row = ApiKey(
        id=key_id,
        account=account,
        name=name,
        prefix=made.prefix,
        digest=made.digest,
        sealed=made.sealed if keep_sealed else None,
        scopes=allowed,
        expires_at=expires_at,
        personal=personal,
    )
    await add_key(session, row)
    return key_id, made.text


async def _acted(
    connection: Connection, key_id: UUID, code: str, *, key: str | UnsetType | None = UNSET
) -> KeyOperationResult:
    row = await _find(connection, str(key_id))
    return KeyOperationResult(code=code, key=key, **msgspec.structs.asdict(row))


def _row(row: Any) -> KeyRow:
    return KeyRow(**dict(row))
