"""Creates programs' accounts and suspends accounts. Callers commit, and check the authorization."""

from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts.registration import FREE_TIER, add_account, add_personal_key, check_name, clean_email
from app.domain.errors import Invalid, NotFound
from app.domain.identity.key_crypto import KeyRing
from db.postgres import ledger, pool
from db.postgres.models import Account
from db.postgres.repositories import lock_account


async def create_api_only(
    session: AsyncSession,
    keys: KeyRing,
    *,
    name: str,
    email: str | None = None,
    monthly: int,
    extra: int = 0,
    unlimited: bool = False,
    actor: str,
    reason: str,
    keep_sealed: bool = True,
) -> tuple[Account, str]:
    """Create a program's account, without password; return it with its key's text. Amounts in micro-credits.

    Raises Invalid and EmailTaken.
    """
    if not name.strip():
        raise Invalid("An account of a program has a name.", field="name")
    check_name(name)
    for field, amount in (("monthly", monthly), ("extra", extra)):
        if amount < 0:
            raise Invalid(f"The {field} credits must not be below 0.", field=field, limit=0)
    address = clean_email(email) if email is not None else None
    account = await add_account(session, kind="api_only", email=address, name=name.strip())
    connection = await pool.raw(session)
    await ledger.open_wallet(
        connection, account.id, kind="api_only", tier=FREE_TIER, monthly=monthly, unlimited=unlimited
    )
    if extra:
        await ledger.grant(connection, account.id, ref=uuid4(), amount=extra, actor=actor, reason=reason)
    return account, await add_personal_key(session, keys, account.id, keep_sealed=keep_sealed)


async def suspend(session: AsyncSession, account: UUID, suspended: bool) -> None:
    """Suspend an account, or restore it: every API process applies that within a second. Its jobs continue.

    Raises NotFound.
    """
    found = await lock_account(session, account)
    if found is None:
        raise NotFound("There is no such account.")
    found.suspended = suspended
    await session.flush()
