"""Operators' operations on an account's terms: plan, monthly limit, unlimited use, closing."""

from uuid import UUID

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.admin.operations import AdminOperation, check_may_end, find_replay, resolve_account
from app.domain.admin.users import Amount, Changed, changed
from app.domain.billing.credits import credits
from app.domain.errors import Closed, NotFound
from db.postgres import ledger
from db.postgres.models import Plan
from db.postgres.pool import raw


class PlanRow(Struct, frozen=True, kw_only=True):
    """A plan; `monthly` free credits."""

    tier: int
    name: str
    monthly: Amount


async def list_plans(session: AsyncSession) -> list[PlanRow]:
    """Every plan, by tier."""
    plans = await session.scalars(select(Plan).order_by(Plan.tier))
    return [PlanRow(tier=plan.tier, name=plan.name, monthly=credits(plan.monthly)) for plan in plans]


async def set_plan(session: AsyncSession, act: AdminOperation, account: str, plan: str) -> Changed:
    """Change the plan, by name or tier, and its monthly credits: raised now, lowered from next month."""
    owner = await resolve_account(session, account)
    return await _set_terms(session, act, owner, await tier_of(session, plan), None)


async def tier_of(session: AsyncSession, plan: str) -> int:
    """The tier of a plan, given by name or tier. Raises NotFound, listing the plans."""
    tiers = {
        name: found.tier for found in await list_plans(session) for name in (found.name, str(found.tier))
    }
    if plan not in tiers:
        raise NotFound(f"There is no plan '{plan[:100]}'.", field="plan", plans=sorted(tiers))
    return tiers[plan]


async def set_limit(session: AsyncSession, act: AdminOperation, account: str, monthly: int | None) -> Changed:
    """Set the account's own monthly micro-credits (None: the plan's): raised now, lowered next month."""
    owner = await resolve_account(session, account)
    balance = await ledger.balance(await raw(session), owner)
    return await _set_terms(session, act, owner, balance.tier if balance else 0, monthly)


async def set_unlimited(
    session: AsyncSession, act: AdminOperation, account: str, *, undo: bool = False
) -> Changed:
    """Allow unlimited use, or (`undo`) only within the credits again; from the next request on."""
    owner = await resolve_account(session, account)
    if await find_replay(session, act, "unlimited", owner, {"unlimited": not undo}):
        return await changed(session, owner, "replayed")
    code = await ledger.set_unlimited(
        await raw(session), owner, ref=act.ref, unlimited=not undo, actor=act.actor, reason=act.reason
    )
    return await _answer(session, owner, code)


async def close(session: AsyncSession, act: AdminOperation, account: str) -> Changed:
    """Close an account for good: its credits expire, its open jobs continue."""
    owner = await resolve_account(session, account)
    if await find_replay(session, act, "close", owner, {}):
        return await changed(session, owner, "replayed")
    await check_may_end(session, act, owner)
    code = await ledger.close(await raw(session), owner, ref=act.ref, actor=act.actor, reason=act.reason)
    return await changed(session, owner, code)


async def _set_terms(
    session: AsyncSession, act: AdminOperation, owner: UUID, tier: int, monthly: int | None
) -> Changed:
    if await find_replay(session, act, "terms", owner, {"tier": tier, "monthly": monthly}):
        return await changed(session, owner, "replayed")
    code = await ledger.set_terms(
        await raw(session), owner, ref=act.ref, tier=tier, monthly=monthly, actor=act.actor, reason=act.reason
    )
    return await _answer(session, owner, code)


async def _answer(session: AsyncSession, owner: UUID, code: str) -> Changed:
    if code == "closed":
        raise Closed("This account is closed.")
    return await changed(session, owner, code)
