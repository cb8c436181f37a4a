"""Operators' operations: actor, reason, idempotency, and the audit log."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import msgspec
from msgspec import Struct
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.errors import Invalid, InvalidToken, KeyReused, LastAdministrator, NotFound, OwnAccount
from app.domain.identity.principals import Principal
from app.domain.pagination import Page, select_fields, select_page
from app.domain.speech.service import check_idempotency_key
from app.domain.speech.validation import is_unicode
from db.postgres.models import Account, AdminAct
from db.postgres.pool import raw
from db.postgres.queries import query

REASON_CHARACTERS = (1, 200)
_ACCOUNT_CHARACTERS_MAX = 254


class AdminOperation(Struct, frozen=True, kw_only=True):
    """Who performs an operation, and why; `ref` identifies it. `caller`: the actor's cached principal."""

    actor: str
    reason: str
    ref: UUID
    caller: Principal | None = None


class OperationRow(Struct, frozen=True, kw_only=True):
    """An operation in the audit log."""

    ref: UUID
    at: datetime
    actor: str
    act: str
    account: UUID | None
    reason: str
    details: dict[str, Any]


_ROWS = select_fields(AdminAct, OperationRow, account="owner")


def new_operation(*, actor: str, reason: str, scope: str, key: str | None) -> AdminOperation:
    """A new operation. `key`, an Idempotency-Key, is unique within `scope`. Raises Invalid."""
    check_idempotency_key(key)
    least, most = REASON_CHARACTERS
    reason = reason.strip()
    if not least <= len(reason) <= most or "\0" in reason or not is_unicode(reason):
        raise Invalid(f"A reason has {least} to {most} characters.", field="reason", limit=[least, most])
    ref = uuid4() if key is None else uuid5(NAMESPACE_URL, f"codevoice:{scope}:{key}")
    return AdminOperation(actor=actor, reason=reason, ref=ref)


def operation_by(caller: Principal, *, reason: str, key: str | None) -> AdminOperation:
    """A new operation of an administrator; `key` is unique within the account. Raises Invalid."""
    actor = str(caller.account)
    return msgspec.structs.replace(
        new_operation(actor=actor, reason=reason, scope=actor, key=key), caller=caller
    )


async def find_replay(
    session: AsyncSession, act: AdminOperation, name: str, owner: UUID | None, details: Mapping[str, Any]
) -> OperationRow | None:
    """This operation, if it was performed before; None: perform it now. Concurrent calls with its key wait.

    Raises KeyReused if the key was used for another operation, and InvalidToken if the caller's log-in or key
    has ended, or its account lost its rights, since the principal was cached.
    """
    connection = await raw(session)
    if act.caller is not None:
        who = act.caller
        if not await connection.fetchval(query("may_act"), who.account, who.key, who.session, who.epoch):
            raise InvalidToken
    await connection.execute(
        "SELECT pg_advisory_xact_lock($1)", int.from_bytes(act.ref.bytes[:8], signed=True)
    )
    row = (await session.execute(_ROWS.where(AdminAct.ref == act.ref))).mappings().one_or_none()
    if row is None:
        return None
    found = OperationRow(**row)
    same = found.act == name and found.reason == act.reason and owner in (None, found.account)
    if not same or not details.items() <= found.details.items():
        raise KeyReused("This idempotency key was used for another act. Use a new key.")
    return found


async def record_operation(
    session: AsyncSession,
    act: AdminOperation,
    name: str,
    owner: UUID | None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write the operation to the audit log; `owner` None: it belongs to no account.

    `details` must not contain personal data: they are kept when an account is erased.
    """
    encoded = msgspec.json.encode(details or {}).decode()
    connection = await raw(session)
    await connection.fetchval(query("record_act"), act.ref, act.actor, name, owner, act.reason, encoded)


async def list_operations(
    session: AsyncSession, *, account: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[OperationRow]:
    """Operations, newest first; on one account where given."""
    wanted = _ROWS
    if account:
        wanted = wanted.where(AdminAct.owner == await resolve_account(session, account))
    newest = (AdminAct.at, AdminAct.ref)
    return await select_page(session, wanted, OperationRow, *newest, mark="ref", limit=limit, cursor=cursor)


async def check_may_end(session: AsyncSession, act: AdminOperation, owner: UUID) -> None:
    """Raise OwnAccount for the actor's own account, LastAdministrator for the only administrator left."""
    if act.actor == str(owner):
        raise OwnAccount
    connection = await raw(session)
    await connection.execute(query("lock_administrators"))
    if await connection.fetchval(query("is_last_administrator"), owner):
        raise LastAdministrator


async def resolve_account(session: AsyncSession, account: str) -> UUID:
    """The id of an account named by id or e-mail. Raises NotFound."""
    name = account.strip()
    if len(name) > _ACCOUNT_CHARACTERS_MAX or "\0" in name or not is_unicode(name):
        found = None
    elif "@" in name:
        found = await session.scalar(select(Account.id).where(Account.email == func.lower(name)))
    else:
        found = await session.scalar(select(Account.id).where(Account.id == identifier(name, "account")))
    if found is None:
        raise NotFound("There is no such account. Name it by e-mail or id.", field="account")
    return found


def identifier(text: str, what: str) -> UUID:
    """The id in `text`. Raises NotFound, not Invalid: a malformed id matches nothing."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"There is no such {what}.", field=what) from None
