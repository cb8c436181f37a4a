"""Operators' operations on accounts: list, show, create for people and for programs, suspend."""

from datetime import datetime
from typing import Any, get_args
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts import provisioning
from app.domain.accounts.registration import check_name, clean_email, create_account
from app.domain.admin.operations import (
    AdminOperation,
    check_may_end,
    find_replay,
    record_operation,
    resolve_account,
)
from app.domain.billing.credits import credits
from app.domain.errors import Invalid, KeyReused
from app.domain.identity.key_crypto import KeyRing
from app.domain.pagination import Page, select_page
from db.postgres.models import BALANCE, Account
from db.types import UserType

Amount = int | float  # credits


class User(Struct, frozen=True, kw_only=True):
    """An account, its rights and its credits; `total_remaining` null: unlimited."""

    account: UUID
    email: str | None
    name: str | None
    user_type: UserType
    admin: bool
    suspended: bool
    closed: bool
    plan: str
    tier: int
    monthly: Amount
    unlimited: bool
    free: Amount
    paid: Amount
    held: Amount
    total_remaining: Amount | None
    resets_at: datetime
    created_at: datetime


class Changed(User, frozen=True, kw_only=True):
    """An account after an operation; `code` says what was done, or `replayed`."""

    code: str


class Opened(Changed, frozen=True, kw_only=True):
    """A new account. `api_key` and `password` are shown only once: not where replayed."""

    api_key: str | None
    password: str | UnsetType | None = UNSET


_USERS = select(
    Account.id.label("account"),
    Account.email,
    Account.name,
    Account.kind.label("user_type"),
    Account.admin,
    Account.suspended,
    Account.created_at,
    *(value for value in BALANCE.c if value.name != "owner"),
).join(BALANCE, BALANCE.c.owner == Account.id)


async def list_users(
    session: AsyncSession, *, user_type: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[User]:
    """Accounts, newest first; of one type where given."""
    if user_type is not None and user_type not in get_args(UserType):
        kinds = list(get_args(UserType))
        raise Invalid(f"Accounts are {', '.join(kinds)}.", field="type", types=kinds)
    wanted = _USERS if user_type is None else _USERS.where(Account.kind == user_type)
    newest = (Account.created_at, Account.id)
    return await select_page(session, wanted, _user, *newest, mark="account", limit=limit, cursor=cursor)


async def show_user(session: AsyncSession, account: str) -> User:
    """One account, named by e-mail or id. Raises NotFound."""
    return await user_of(session, await resolve_account(session, account))


async def user_of(session: AsyncSession, account: UUID) -> User:
    """The account of that id. Raises LookupError where there is none, or it has no wallet."""
    row = (await session.execute(_USERS.where(Account.id == account))).mappings().one_or_none()
    if row is None:
        raise LookupError(f"account {account} has no wallet")
    return _user(**row)


async def changed(session: AsyncSession, account: UUID, code: str) -> Changed:
    """The account after an operation."""
    return Changed(code=code, **msgspec.structs.asdict(await user_of(session, account)))


async def create_user(
    session: AsyncSession,
    act: AdminOperation,
    keys: KeyRing,
    *,
    email: str,
    password_hash: str,
    name: str | None,
    admin: bool,
    keep_sealed: bool,
) -> Opened:
    """Create a person's account, with personal key and free credits. Raises EmailTaken."""
    email = clean_email(email)
    check_name(name)
    details = {"admin": admin}
    before = await find_replay(session, act, "create_user", None, details)
    if before and before.account:
        return await _reopened(session, before.account, email)
    account, key = await create_account(
        session,
        keys,
        email=email,
        password_hash=password_hash,
        name=name,
        keep_sealed=keep_sealed,
        admin=admin,
    )
    await record_operation(session, act, "create_user", account.id, details)
    return await _opened(session, account.id, "created", key)


async def create_api_only(
    session: AsyncSession,
    act: AdminOperation,
    keys: KeyRing,
    *,
    name: str,
    email: str | None = None,
    monthly: int = 0,
    extra: int = 0,
    unlimited: bool = False,
    keep_sealed: bool,
) -> Opened:
    """Create a program's account: a key, no log-in; amounts in micro-credits. Raises Invalid, EmailTaken."""
    details = {"monthly": monthly, "extra": extra, "unlimited": unlimited}
    before = await find_replay(session, act, "create_api_only", None, details)
    if before and before.account:
        return await _opened(session, before.account, "replayed", None)
    account, key = await provisioning.create_api_only(
        session,
        keys,
        name=name,
        email=email,
        monthly=monthly,
        extra=extra,
        unlimited=unlimited,
        actor=act.actor,
        reason=act.reason,
        keep_sealed=keep_sealed,
    )
    await record_operation(session, act, "create_api_only", account.id, details)
    return await _opened(session, account.id, "created", key)


async def suspend(session: AsyncSession, act: AdminOperation, account: str, *, undo: bool = False) -> Changed:
    """Suspend the account: all its requests are refused; or (`undo`) restore it. Credits and jobs stay.

    Raises NotFound, OwnAccount and LastAdministrator.
    """
    owner, name = await resolve_account(session, account), "unsuspend" if undo else "suspend"
    if await find_replay(session, act, name, owner, {}):
        return await changed(session, owner, "replayed")
    if not undo:
        await check_may_end(session, act, owner)
    await provisioning.suspend(session, owner, not undo)
    await record_operation(session, act, name, owner)
    return await changed(session, owner, "restored" if undo else "suspended")


async def _reopened(session: AsyncSession, account: UUID, email: str) -> Opened:
    found = await _opened(session, account, "replayed", None)
    if found.email != email:
        raise KeyReused("This idempotency key opened an account for another e-mail. Use a new key.")
    return found


async def _opened(session: AsyncSession, account: UUID, code: str, key: str | None) -> Opened:
    user = await user_of(session, account)
    return Opened(code=code, api_key=key, **msgspec.structs.asdict(user))


def _user(**row: Any) -> User:
    total = None if row["unlimited"] else credits(row["free"] + row["paid"])
    amounts = {name: credits(row.pop(name)) for name in ("monthly", "free", "paid", "held")}
    return User(total_remaining=total, **amounts, **row)
