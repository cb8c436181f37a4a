"""Repositories of accounts and keys. They neither begin nor commit: the session's opener does."""

from uuid import UUID

import asyncpg
from advanced_alchemy.exceptions import IntegrityError
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy import func, or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Account, ApiKey


class EmailTakenError(Exception):
    """Another account has this e-mail."""


class AccountRepository(SQLAlchemyAsyncRepository[Account]):
    """Accounts, whole rows."""

    model_type = Account


class ApiKeyRepository(SQLAlchemyAsyncRepository[ApiKey]):
    """Keys, whole rows."""

    model_type = ApiKey


async def add_account(session: AsyncSession, account: Account) -> Account:
    """Insert an account. Raises EmailTakenError, by the constraint: two at once cannot both have it."""
    try:
        return await AccountRepository(session=session).add(account)
    except IntegrityError as error:
        if _constraint(error) == "account_email_taken":
            raise EmailTakenError from None
        raise


async def account_by_email(session: AsyncSession, email: str) -> Account | None:
    """The account of an e-mail, in lower case."""
    return await AccountRepository(session=session).get_one_or_none(Account.email == email)


async def account_by_id(session: AsyncSession, account: UUID) -> Account | None:
    """The account of that id."""
    return await AccountRepository(session=session).get_one_or_none(Account.id == account)


async def add_key(session: AsyncSession, key: ApiKey) -> ApiKey:
    """Insert a key."""
    return await ApiKeyRepository(session=session).add(key)


async def personal_key(session: AsyncSession, account: UUID) -> ApiKey | None:
    """The account's first key that still works."""
    keys = await ApiKeyRepository(session=session).list(
        ApiKey.account == account,
        ApiKey.revoked_at.is_(None),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.clock_timestamp()),
        order_by=[(ApiKey.created_at, False), (ApiKey.id, False)],
    )
    return keys[0] if keys else None


async def set_password_hash(session: AsyncSession, account: UUID, password_hash: str) -> None:
    """Keep another hash of the account's password."""
    await session.execute(update(Account).where(Account.id == account).values(password_hash=password_hash))


async def raise_token_epoch(session: AsyncSession, account: UUID) -> None:
    """End every token given out for the account."""
    await session.execute(
        update(Account).where(Account.id == account).values(token_epoch=Account.token_epoch + 1)
    )


def _constraint(error: BaseException | None) -> str | None:
    """The violated constraint's name, which only the driver's own error, some causes down, has."""
    while error is not None and not isinstance(error, asyncpg.IntegrityConstraintViolationError):
        error = error.__cause__ or error.__context__
    return getattr(error, "constraint_name", None)
