"""Repositories for cold paths. They neither begin nor commit a transaction: the caller does."""

from datetime import datetime, timedelta
from uuid import UUID

from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy import ColumnElement, func, or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from db.postgres.models import Account, ApiKey


class AccountRepository(SQLAlchemyAsyncRepository[Account]):
    """Whole rows of accounts."""

    model_type = Account


class ApiKeyRepository(SQLAlchemyAsyncRepository[ApiKey]):
    """Whole rows of keys."""

    model_type = ApiKey

    async def revoke(self, key: ApiKey, *, grace_s: int = 0) -> None:
        """Revoke the key `grace_s` from now, or when it was to be revoked, if that is earlier."""
        then = func.clock_timestamp() + timedelta(seconds=grace_s)
        key.revoked_at = func.least(ApiKey.revoked_at, then)
        await self.session.flush()
        await self.session.refresh(key)


async def lock_account(session: AsyncSession, account: UUID) -> Account | None:
    """The account's current row, locked until the commit. Lock order: wallet, account, keys and resets."""
    return await session.get(Account, account, with_for_update={"key_share": True}, populate_existing=True)


def works() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The conditions of a working key: neither revoked nor expired."""
    return is_ahead(ApiKey.revoked_at), is_ahead(ApiKey.expires_at)


def is_ahead(end: InstrumentedAttribute[datetime | None]) -> ColumnElement[bool]:
    """Whether a time is in the future; null is never reached."""
    return or_(end.is_(None), end > func.clock_timestamp())
