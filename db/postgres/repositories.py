"""Repositories of accounts and keys. They neither begin nor commit a transaction: the caller does."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
from advanced_alchemy.exceptions import IntegrityError
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.postgres.models import Account, ApiKey


class EmailTakenError(Exception):
    """Another account has this e-mail."""


class AccountRepository(SQLAlchemyAsyncRepository[Account]):
    """Whole rows of accounts."""

    model_type = Account


class ApiKeyRepository(SQLAlchemyAsyncRepository[ApiKey]):
    """Whole rows of keys."""

    model_type = ApiKey


async def add_account(session: AsyncSession, account: Account) -> Account:
    """Insert an account. Raises EmailTakenError, by the database's constraint, which also excludes races."""
    try:
        return await AccountRepository(session=session).add(account)
    except IntegrityError as error:
        if _constraint(error) == "account_email_taken":
            raise EmailTakenError from None
        raise


async def account_by_email(session: AsyncSession, email: str) -> Account | None:
    """The account of an e-mail, which must be in lower case."""
    return await AccountRepository(session=session).get_one_or_none(Account.email == email)


async def account_by_id(session: AsyncSession, account: UUID) -> Account | None:
    """The account of that id."""
    return await AccountRepository(session=session).get_one_or_none(Account.id == account)


async def add_key(session: AsyncSession, key: ApiKey) -> ApiKey:
    """Insert a key."""
    return await ApiKeyRepository(session=session).add(key)


async def personal_key(session: AsyncSession, account: UUID) -> ApiKey | None:
    """The account's personal key, if it still works."""
    wanted = (
        select(ApiKey)
        .where(ApiKey.account == account, ApiKey.personal.is_(True), ApiKey.revoked_at.is_(None))
        .where(or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.clock_timestamp()))
        .order_by(ApiKey.created_at, ApiKey.id)
        .limit(1)
    )
    return await session.scalar(wanted)


async def keys_of(session: AsyncSession, account: UUID, *, limit: int) -> Sequence[ApiKey]:
    """An account's keys: first those that work, the personal one before the others; then the last revoked."""
    wanted = (
        select(ApiKey)
        .where(ApiKey.account == account)
        .order_by(
            ApiKey.revoked_at.desc().nulls_first(), ApiKey.personal.desc(), ApiKey.created_at, ApiKey.id
        )
        .limit(limit)
    )
    return (await session.scalars(wanted)).all()


async def key_of(
    session: AsyncSession, account: UUID, key: UUID, *, for_update: bool = False
) -> ApiKey | None:
    """The key, if it is the account's; with `for_update` locked until the commit."""
    wanted = select(ApiKey).where(ApiKey.account == account, ApiKey.id == key)
    return await session.scalar(wanted.with_for_update() if for_update else wanted)


async def lock_account(session: AsyncSession, account: UUID) -> Account | None:
    """The account's current row, locked until the commit. Lock order: wallet, account, keys and resets."""
    wanted = select(Account).where(Account.id == account).with_for_update(key_share=True)
    return await session.scalar(wanted.execution_options(populate_existing=True))


async def is_key_working(session: AsyncSession, account: UUID, key: UUID) -> bool:
    """Whether the account has that key, and it is neither revoked nor expired."""
    wanted = select(ApiKey.id).where(ApiKey.account == account, ApiKey.id == key, _works())
    return await session.scalar(wanted) is not None


async def count_working_keys(session: AsyncSession, account: UUID) -> int:
    """The number of working keys. Locks the account, so that two callers cannot both add the last one."""
    await lock_account(session, account)
    counted = select(func.count()).where(ApiKey.account == account, _works())
    return await session.scalar(counted) or 0


async def revoke_key(session: AsyncSession, account: UUID, key: UUID, *, grace_s: int = 0) -> bool:
    """Revoke the key `grace_s` from now, or when it was to be revoked, if earlier; whether it exists."""
    then = func.clock_timestamp() + timedelta(seconds=grace_s)
    change = update(ApiKey).where(ApiKey.account == account, ApiKey.id == key)
    change = change.values(revoked_at=func.least(ApiKey.revoked_at, then))
    found = await session.scalar(change.returning(ApiKey.id).execution_options(synchronize_session=False))
    return found is not None


def _works() -> ColumnElement[bool]:
    now = func.clock_timestamp()
    revoked, expires = ApiKey.revoked_at, ApiKey.expires_at
    return or_(revoked.is_(None), revoked > now) & or_(expires.is_(None), expires > now)


async def set_password_hash(
    session: AsyncSession, account: UUID, password_hash: str, *, before: str | None = None
) -> bool:
    """Store a new password hash; if `before` is given, only in place of that. Whether it was stored."""
    change = update(Account).where(Account.id == account).values(password_hash=password_hash)
    if before is not None:
        change = change.where(Account.password_hash == before)
    change = change.returning(Account.id).execution_options(synchronize_session=False)
    return await session.scalar(change) is not None


async def set_suspended(session: AsyncSession, account: UUID, suspended: bool) -> bool:
    """Set whether the account is suspended; whether it exists."""
    change = update(Account).where(Account.id == account).values(suspended=suspended)
    change = change.returning(Account.id).execution_options(synchronize_session=False)
    return await session.scalar(change) is not None


async def raise_token_epoch(session: AsyncSession, account: UUID) -> None:
    """Invalidate every token issued for the account."""
    await session.execute(
        update(Account).where(Account.id == account).values(token_epoch=Account.token_epoch + 1)
    )


def _constraint(error: BaseException | None) -> str | None:
    """The violated constraint's name, from the driver's error among the causes."""
    while error is not None and not isinstance(error, asyncpg.IntegrityConstraintViolationError):
        error = error.__cause__ or error.__context__
    return getattr(error, "constraint_name", None)
