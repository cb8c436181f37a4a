"""Erases a person's data. What was paid stays in the ledger, under the account's id.

Every step can be repeated, and the e-mail address is deleted last, so an interrupted run can be started again
by address.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid5

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts.mail import forget_mails
from app.domain.admin.operations import (
    AdminOperation,
    check_may_end,
    find_replay,
    record_operation,
    resolve_account,
)
from app.domain.errors import NotFound
from db.postgres import ledger
from db.postgres.models import ApiKey, Job
from db.postgres.pool import raw
from db.postgres.queries import query
from db.storage.objects import Objects
from db.storage.personal_data import RedisTraces, delete_objects

_JOBS_AT_ONCE = 200
_SYSTEM = "system"


class Erased(Struct, frozen=True, kw_only=True):
    """What was erased; steps completed by an earlier, interrupted run are not counted.

    `log_rewritten`: Redis is rewriting its append-only file, without the deleted data.
    """

    code: str
    account: UUID
    jobs_cancelled: int = 0
    jobs_erased: int = 0
    objects_deleted: int = 0
    redis_keys_deleted: int = 0
    mails_deleted: int = 0
    api_keys_deleted: int = 0
    log_rewritten: bool = False


class Places(Struct, frozen=True, kw_only=True):
    """Where personal data is stored besides Postgres. `mail_folder` None: mails are not kept as files."""

    store: Objects
    volatile: RedisTraces
    mail_folder: Path | None = None


async def erase(
    session: AsyncSession, places: Places, act: AdminOperation, account: str, report: Callable[[str], None]
) -> Erased:
    """Erase the account of that e-mail or id. The session has not begun: each step is committed.

    Raises NotFound, KeyReused, OwnAccount, LastAdministrator, StoreError and redis.RedisError.
    """
    async with session.begin():
        owner = await resolve_account(session, account)
        if await find_replay(session, act, "erase", owner, {}):
            return Erased(code="replayed", account=owner)
        email = await _refuse(session, act, owner)
    report("nothing is let in any more")
    cancelled = await _cancel_open(session, places, act, owner)
    report(f"{cancelled} open jobs cancelled")
    jobs = await _erase_jobs(session, owner)
    report(f"texts and results of {jobs} jobs forgotten")
    return await _erase_elsewhere(
        session,
        places,
        act,
        Erased(code="erased", account=owner, jobs_cancelled=cancelled, jobs_erased=jobs),
        email,
    )


async def _refuse(session: AsyncSession, act: AdminOperation, owner: UUID) -> str | None:
    """Close the account: credits expire; keys, tokens and requests are refused. Returns its address."""
    await check_may_end(session, act, owner)
    connection = await raw(session)
    balance = await ledger.balance(connection, owner)
    if balance is None or balance.kind == _SYSTEM:
        raise NotFound("There is no such account. Name it by e-mail or id.", field="account")
    await ledger.close(connection, owner, ref=uuid5(owner, "erase"), actor=act.actor, reason=act.reason)
    return await connection.fetchval(query("refuse_account"), owner)


async def _cancel_open(session: AsyncSession, places: Places, act: AdminOperation, owner: UUID) -> int:
    """Cancel the open jobs, and return how many. Audio of theirs that was delivered is charged, as always."""
    is_open = Job.state.in_(("queued", "processing"))
    async with session.begin():
        jobs = (await session.scalars(select(Job.id).where(Job.owner == owner, is_open))).all()
    ended = [job for job in jobs if await _cancel(session, job, owner, act.actor)]
    await asyncio.to_thread(places.volatile.publish_cancelled, ended)
    return len(ended)


async def _cancel(session: AsyncSession, job: UUID, owner: UUID, actor: str) -> bool:
    async with session.begin():
        return await (await raw(session)).fetchval(query("cancel"), job, owner, actor) == "cancelled"


async def _erase_jobs(session: AsyncSession, owner: UUID) -> int:
    """Erase all jobs, in several commits; returns how many."""
    erased, some = 0, _JOBS_AT_ONCE
    while some:
        async with session.begin():
            some = await _erase_some(session, owner)
        erased += some
    return erased


async def _erase_some(session: AsyncSession, owner: UUID) -> int:
    return await (await raw(session)).fetchval(query("erase_jobs"), owner, _JOBS_AT_ONCE) or 0


async def _erase_elsewhere(
    session: AsyncSession, places: Places, act: AdminOperation, so_far: Erased, email: str | None
) -> Erased:
    """Erase the store, Redis and mails; last the address, in one transaction with the operation's row."""
    owner = so_far.account
    async with session.begin():
        jobs = set(await session.scalars(select(Job.id).where(Job.owner == owner)))
        keys = set(await session.scalars(select(ApiKey.id).where(ApiKey.account == owner)))
    objects = await asyncio.to_thread(delete_objects, places.store, jobs)
    volatile = await asyncio.to_thread(places.volatile.delete, jobs | keys | {owner})
    mails = await _forget_mails(places, email)
    rewritten = await asyncio.to_thread(places.volatile.rewrite)
    async with session.begin():
        while await _erase_some(session, owner):
            pass
        api_keys = int(await (await raw(session)).fetchval(query("erase_account"), owner) or 0)
        done = Erased(
            code="erased",
            account=owner,
            jobs_cancelled=so_far.jobs_cancelled,
            jobs_erased=so_far.jobs_erased,
            objects_deleted=objects,
            redis_keys_deleted=volatile,
            mails_deleted=mails,
            api_keys_deleted=api_keys,
            log_rewritten=rewritten,
        )
        await record_operation(
            session, act, "erase", owner, {"jobs": len(jobs), "objects": objects, "keys": api_keys}
        )
    return done


async def _forget_mails(places: Places, email: str | None) -> int:
    if places.mail_folder is None or email is None:
        return 0
    return await asyncio.to_thread(forget_mails, places.mail_folder, email)
