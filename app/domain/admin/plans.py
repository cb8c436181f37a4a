"""Operators' operations on an account's terms: plan, monthly limit, unlimited use, closing."""

from uuid import UUID

from msgspec import Struct

from app.domain.admin.operations import AdminOperation, check_may_end, find_replay, resolve_account
from app.domain.admin.users import Amount, Changed, changed
from app.domain.billing.credits import credits
from app.domain.errors import Closed, NotFound
from db.postgres import ledger
from db.postgres.pool import Connection
from db.postgres.queries import query


class PlanRow(Struct, frozen=True, kw_only=True):
    """A plan; `monthly` free credits."""

    tier: int
    name: str
    monthly: Amount


async def list_plans(connection: Connection) -> list[PlanRow]:
    """Every plan, by tier."""
    rows = await connection.fetch(query("plans"))
    return [PlanRow(tier=row["tier"], name=row["name"], monthly=credits(row["monthly"])) for row in rows]


async def set_plan(connection: Connection, act: AdminOperation, account: str, plan: str) -> Changed:
    """Change the plan, by name or tier, and its monthly credits: raised now, lowered from next month."""
    owner = await resolve_account(connection, account)
    return await _set_terms(connection, act, owner, await tier_of(connection, plan), None)


async def tier_of(connection: Connection, plan: str) -> int:
    """The tier of a plan, given by name or tier. Raises NotFound, listing the plans."""
    tiers = {
        name: found.tier for found in await list_plans(connection) for name in (found.name, str(found.tier))
    }
    if plan not in tiers:
        raise NotFound(f"There is no plan '{plan[:100]}'.", field="plan", plans=sorted(tiers))
    return tiers[plan]


async def set_limit(
    connection: Connection, act: AdminOperation, account: str, monthly: int | None
) -> Changed:
    """Set the account's own monthly micro-credits (None: the plan's): raised now, lowered next month."""
    owner = await resolve_account(connection, account)
    balance = await ledger.balance(connection, owner)
    return await _set_terms(connection, act, owner, balance.tier if balance else 0, monthly)


async def set_unlimited(
    connection: Connection, act: AdminOperation, account: str, *, undo: bool = False
) -> Changed:
    """Allow unlimited use, or (`undo`) only within the credits again; from the next request on."""
    owner = await resolve_account(connection, account)
    if await find_replay(connection, act, "unlimited", owner, {"unlimited": not undo}):
        return await changed(connection, owner, "replayed")
    code = await ledger.set_unlimited(
        connection, owner, ref=act.ref, unlimited=not undo, actor=act.actor, reason=act.reason
    )
    return await _answer(connection, owner, code)


async def close(connection: Connection, act: AdminOperation, account: str) -> Changed:
    """Close an account for good: its credits expire, its open jobs continue."""
    owner = await resolve_account(connection, account)
    if await find_replay(connection, act, "close", owner, {}):
        return await changed(connection, owner, "replayed")
    await check_may_end(connection, act, owner)
    code = await ledger.close(connection, owner, ref=act.ref, actor=act.actor, reason=act.reason)
    return await changed(connection, owner, code)


async def _set_terms(
    connection: Connection, act: AdminOperation, owner: UUID, tier: int, monthly: int | None
) -> Changed:
    if await find_replay(connection, act, "terms", owner, {"tier": tier, "monthly": monthly}):
        return await changed(connection, owner, "replayed")
    code = await ledger.set_terms(
        connection, owner, ref=act.ref, tier=tier, monthly=monthly, actor=act.actor, reason=act.reason
    )
    return await _answer(connection, owner, code)


async def _answer(connection: Connection, owner: UUID, code: str) -> Changed:
    if code == "closed":
        raise Closed("This account is closed.")
    return await changed(connection, owner, code)
