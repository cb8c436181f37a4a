"""Operators' credit operations: grant, refund, expire, and the history of transfers."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.admin.operations import AdminOperation, find_replay, identifier, resolve_account
from app.domain.admin.users import Amount, user_of
from app.domain.billing.credits import credits
from app.domain.errors import Closed, Invalid, NotCharged, NotEnough, NotFound
from app.domain.pagination import Page, select_fields, select_page
from db.postgres import ledger
from db.postgres.models import Job
from db.postgres.models import Transfer as TransferModel
from db.postgres.pool import raw
from db.postgres.queries import query
from db.types import MICRO

_WRITTEN = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")  # no 1e3, no Infinity, no 1_000
CREDITS_MAX = 1_000_000_000


class Moved(Struct, frozen=True, kw_only=True):
    """A credit operation's result, and the account's balance after it; `total_remaining` null: unlimited."""

    code: str
    account: UUID
    job: UUID | UnsetType = UNSET
    amount: Amount
    free: Amount
    paid: Amount
    held: Amount
    total_remaining: Amount | None


class Transfer(Struct, frozen=True, kw_only=True):
    """One transfer from a bucket to another; `bucket`: the kind of these credits."""

    account: UUID
    seq: int
    at: datetime
    ref: UUID
    src: str
    dst: str
    amount: Amount
    bucket: str
    actor: str
    reason: str


class Leg(Struct, frozen=True, kw_only=True):
    """One side of a transfer in double entry: the two legs of a `seq` sum to zero."""

    seq: int
    at: datetime
    ref: UUID
    bucket: str
    amount: Amount
    actor: str
    reason: str


_TRANSFERS = select_fields(TransferModel, Transfer, account="owner")


def micro(amount: object, *, field: str = "amount", zero: bool = False) -> int:
    """Micro-credits of an amount written in credits, with up to six decimals. Raises Invalid."""
    if isinstance(amount, str) and not _WRITTEN.fullmatch(amount.strip()):
        raise Invalid(f"{amount[:40]!r} is not an amount: write it as 5 or 2.5.", field=field)
    try:
        found = Decimal(str(amount)) * MICRO
    except ArithmeticError:
        raise Invalid(f"{str(amount)[:40]!r} is no number.", field=field) from None
    if not found.is_finite() or found < 0 or (found == 0 and not zero) or found > CREDITS_MAX * MICRO:
        least = "from 0" if zero else "above 0"
        message = f"Credits must be {least} and at most {CREDITS_MAX:,}."
        raise Invalid(message, field=field, limit=[0, CREDITS_MAX])
    if found != int(found):
        raise Invalid("Credits have up to six decimals.", field=field)
    return int(found)


async def grant(session: AsyncSession, act: AdminOperation, account: str, amount: int) -> Moved:
    """Grant paid micro-credits. Raises NotFound, Closed."""
    owner = await resolve_account(session, account)
    code = "replayed"
    if not await find_replay(session, act, "grant", owner, {"amount": amount}):
        code = await ledger.grant(
            await raw(session), owner, ref=act.ref, amount=amount, actor=act.actor, reason=act.reason
        )
    if code == "closed":
        raise Closed("This account is closed: it takes no more credits.")
    return await _moved(session, owner, code, amount)


async def expire(session: AsyncSession, act: AdminOperation, account: str, amount: int) -> Moved:
    """Expire paid micro-credits. Raises NotFound, NotEnough."""
    owner = await resolve_account(session, account)
    code = "replayed"
    if not await find_replay(session, act, "expire", owner, {"amount": amount}):
        code = await ledger.expire(
            await raw(session), owner, ref=act.ref, amount=amount, actor=act.actor, reason=act.reason
        )
    if code == "not_enough":
        raise NotEnough("The account has fewer paid credits than that.", field="amount")
    return await _moved(session, owner, code, amount)


async def refund(session: AsyncSession, act: AdminOperation, job: str) -> Moved:
    """Refund what a job cost, at most once a job, whatever the key. Raises NotFound, NotCharged."""
    found = identifier(job, "job")
    code = await ledger.refund(await raw(session), found, actor=act.actor, reason=act.reason)
    if code == "no_job":
        raise NotFound("There is no such job.", field="job")
    if code == "not_charged":
        raise NotCharged("This job cost nothing, so there is nothing to give back.", field="job")
    owner = await session.scalar(select(Job.owner).where(Job.id == found)) or found
    amount = await (await raw(session)).fetchval(query("refunded"), owner, found)
    return await _moved(session, owner, code, int(amount or 0), job=found)


async def history(
    session: AsyncSession, account: str, *, limit: int = 50, cursor: str | None = None
) -> Page[Transfer]:
    """An account's transfers, newest first."""
    wanted = _TRANSFERS.where(TransferModel.owner == await resolve_account(session, account))
    newest = TransferModel.seq
    return await select_page(session, wanted, _transfer, newest, mark="seq", limit=limit, cursor=cursor)


async def legs_of_ref(session: AsyncSession, owner: UUID, ref: UUID) -> list[Leg]:
    """All legs of a job's transfers, or of an operation's."""
    rows = await (await raw(session)).fetch(query("legs_of_ref"), owner, ref)
    return [_leg(**dict(row)) for row in rows]


async def legs_so_far(session: AsyncSession, owner: UUID) -> list[Leg]:
    """An owner's legs written by the current transaction, before its commit."""
    rows = await (await raw(session)).fetch(query("legs_of_transaction"), owner)
    return [_leg(**dict(row)) for row in rows]


async def _moved(
    session: AsyncSession, owner: UUID, code: str, amount: int, *, job: UUID | UnsetType = UNSET
) -> Moved:
    now = await user_of(session, owner)
    return Moved(
        code=code,
        account=owner,
        job=job,
        amount=credits(amount),
        free=now.free,
        paid=now.paid,
        held=now.held,
        total_remaining=now.total_remaining,
    )


def _transfer(*, amount: int, **row: Any) -> Transfer:
    return Transfer(amount=credits(amount), **row)


def _leg(*, amount: int, **row: Any) -> Leg:
    return Leg(amount=credits(amount), **row)
