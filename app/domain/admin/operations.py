"""Operators' operations: actor, reason, idempotency, and the audit log."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import msgspec
from msgspec import Struct

from app.domain.errors import Invalid, InvalidToken, KeyReused, LastAdministrator, NotFound, OwnAccount
from app.domain.identity.principals import Principal
from app.domain.pagination import Page, page
from app.domain.speech.service import check_idempotency_key
from app.domain.speech.validation import is_unicode
from db.postgres import pool
from db.postgres.pool import Connection
from db.postgres.queries import query

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

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
    connection: Connection, act: AdminOperation, name: str, owner: UUID | None, details: Mapping[str, Any]
) -> OperationRow | None:
    """This operation, if it was performed before; None: perform it now. Concurrent calls with its key wait.

    Raises KeyReused if the key was used for another operation, and InvalidToken if the caller's log-in or key
    has ended, or its account lost its rights, since the principal was cached.
    """
    if act.caller is not None:
        who = act.caller
        if not await connection.fetchval(query("may_act"), who.account, who.key, who.session, who.epoch):
            raise InvalidToken
    await connection.execute(
        "SELECT pg_advisory_xact_lock($1)", int.from_bytes(act.ref.bytes[:8], signed=True)
    )
    row = await connection.fetchrow(query("act"), act.ref)
    if row is None:
        return None
    found = _row(row)
    same = found.act == name and found.reason == act.reason and owner in (None, found.account)
    if not same or not details.items() <= found.details.items():
        raise KeyReused("This idempotency key was used for another act. Use a new key.")
    return found


async def record_operation(
    connection: Connection,
    act: AdminOperation,
    name: str,
    owner: UUID | None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write the operation to the audit log; `owner` None: it belongs to no account.

    `details` must not contain personal data: they are kept when an account is erased.
    """
    encoded = msgspec.json.encode(details or {}).decode()
    await connection.fetchval(query("record_act"), act.ref, act.actor, name, owner, act.reason, encoded)


async def list_operations(
    connection: Connection, *, account: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[OperationRow]:
    """Operations, newest first; on one account where given."""
    owner = await resolve_account(connection, account) if account else None
    return await page(connection, query("acts"), owner, limit=limit, cursor=cursor, make=_row, mark="ref")


async def check_may_end(connection: Connection, act: AdminOperation, owner: UUID) -> None:
    """Raise OwnAccount for the actor's own account, LastAdministrator for the only administrator left."""
    if act.actor == str(owner):
        raise OwnAccount
    await connection.execute(query("lock_administrators"))
    if await connection.fetchval(query("is_last_administrator"), owner):
        raise LastAdministrator


async def resolve_account(connection: Connection, account: str) -> UUID:
    """The id of an account named by id or e-mail. Raises NotFound."""
    name = account.strip()
    if len(name) > _ACCOUNT_CHARACTERS_MAX or "\0" in name or not is_unicode(name):
        found = None
    elif "@" in name:
        found = await connection.fetchval(query("account_of_email"), name)
    else:
        found = await connection.fetchval(query("principal_by_id"), identifier(name, "account"))
    if found is None:
        raise NotFound("There is no such account. Name it by e-mail or id.", field="account")
    return found


def identifier(text: str, what: str) -> UUID:
    """The id in `text`. Raises NotFound, not Invalid: a malformed id matches nothing."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"There is no such {what}.", field=what) from None


async def raw_connection(session: "AsyncSession") -> Connection:
    """The session's own connection, inside its transaction, which only a statement of the session begins."""
    from sqlalchemy import text

    await session.execute(text("SELECT 1"))
    return await pool.raw(session)


def _row(row: Any) -> OperationRow:
    return OperationRow(**{**dict(row), "details": msgspec.json.decode(row["details"])})
