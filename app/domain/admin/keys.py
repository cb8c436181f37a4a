"""Operators' operations on any account's keys: list, create, rotate, revoke."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts.api_keys import (
    KeyRow,
    NewKey,
    add_key,
    check_grace,
    check_key_limit,
    clean_key_name,
    like,
)
from app.domain.admin.operations import (
    AdminOperation,
    find_replay,
    identifier,
    record_operation,
    resolve_account,
)
from app.domain.errors import NotFound, TooLate
from app.domain.identity import scopes
from app.domain.identity.key_crypto import KeyRing
from app.domain.pagination import Page, select_fields, select_page
from db.postgres.models import ApiKey
from db.postgres.repositories import ApiKeyRepository, lock_account


class KeyOperationResult(KeyRow, frozen=True, kw_only=True):
    """An operation's result; `key`, the text of a new key, is shown only once, and null where replayed."""

    code: str
    key: str | UnsetType | None = UNSET


_ROWS = select_fields(ApiKey, KeyRow)


async def list_keys(
    session: AsyncSession, account: str, *, limit: int = 50, cursor: str | None = None
) -> Page[KeyRow]:
    """An account's keys, newest first."""
    wanted = _ROWS.where(ApiKey.account == await resolve_account(session, account))
    newest = (ApiKey.created_at, ApiKey.id)
    return await select_page(session, wanted, KeyRow, *newest, mark="id", limit=limit, cursor=cursor)


async def create_key(
    session: AsyncSession,
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
    owner = await resolve_account(session, account)
    new = NewKey(name=clean_key_name(name), scopes=scopes.checked(wanted))
    details = {"name": new.name, "scopes": new.scopes}
    before = await find_replay(session, act, "create_key", owner, details)
    if before:
        return _acted(await _find(session, before.details["key"]), "replayed", key=None)
    await check_key_limit(session, owner, keys_max)
    row, text = await add_key(session, keys, owner, new, keep_sealed=keep_sealed)
    await record_operation(session, act, "create_key", owner, {**details, "key": str(row.id)})
    return _acted(row, "created", key=text)


async def rotate_key(
    session: AsyncSession,
    act: AdminOperation,
    keys: KeyRing,
    key: str,
    *,
    grace_s: int,
    keep_sealed: bool,
    keys_max: int,
) -> KeyOperationResult:
    """Replace a key, which keeps working for `grace_s`. Raises Invalid, NotFound, TooLate, TooManyKeys."""
    check_grace(grace_s)
    old = await _find(session, key)
    details = {"old": str(old.id)}
    before = await find_replay(session, act, "rotate_key", old.account, details)
    if before:
        return _acted(await _find(session, before.details["key"]), "replayed", key=None)
    await lock_account(session, old.account)  # before its keys: the lock order used everywhere
    locked = await session.get(ApiKey, old.id, with_for_update=True, populate_existing=True)
    if locked is None or locked.revoked_at is not None:
        raise TooLate("This key is revoked already. Create a new one.")
    await ApiKeyRepository(session=session).revoke(old, grace_s=grace_s)
    await check_key_limit(session, old.account, keys_max)
    made, text = await add_key(session, keys, old.account, like(old), keep_sealed=keep_sealed)
    await record_operation(session, act, "rotate_key", old.account, {**details, "key": str(made.id)})
    return _acted(made, "rotated", key=text)


async def revoke_key(session: AsyncSession, act: AdminOperation, key: str) -> KeyOperationResult:
    """Revoke a key now; one revoked already stays as it is. Raises NotFound."""
    found = await _find(session, key)
    details = {"key": str(found.id)}
    if await find_replay(session, act, "revoke_key", found.account, details):
        await session.refresh(found)
        return _acted(found, "replayed")
    await ApiKeyRepository(session=session).revoke(found)
    await record_operation(session, act, "revoke_key", found.account, details)
    return _acted(found, "revoked")


async def _find(session: AsyncSession, key: str) -> ApiKey:
    found = await session.get(ApiKey, identifier(key, "key"))
    if found is None:
        raise NotFound("There is no such key. Name it by its id.", field="key")
    return found


def _acted(row: ApiKey, code: str, *, key: str | UnsetType | None = UNSET) -> KeyOperationResult:
    columns = msgspec.structs.asdict(msgspec.convert(row, KeyRow, from_attributes=True))
    return KeyOperationResult(code=code, key=key, **columns)
