"""Password changes, and resets by mail. A reset request does not reveal whether an account exists."""

import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts.mail import Mail
from app.domain.accounts.mail_queue import MailQueue
from app.domain.accounts.mail_texts import reset_mail
from app.domain.accounts.password_hashing import PasswordHasher
from app.domain.accounts.registration import add_personal_key, check_password, clean_email
from app.domain.accounts.service import Accounts, LoggedIn
from app.domain.database import Database
from app.domain.errors import InvalidReset, Suspended, WrongLogin
from app.domain.identity.key_crypto import KeyRing
from app.domain.identity.principals import Principal, Principals
from db.postgres import pool
from db.postgres.models import Account, ApiKey
from db.postgres.models import PasswordReset as ResetToken
from db.postgres.queries import query
from db.postgres.repositories import AccountRepository, is_ahead, lock_account

_PREFIX = "cvr_"
_TOKEN_BYTES = 32
_LIFE = timedelta(hours=1)
_DELETED_MAX = 100  # expired tokens, at each request
_UNSYNCED: Any = {"execution_options": {"synchronize_session": False}}


class PasswordReset:
    """Changes passwords, which ends all tokens issued before. Keys stay; at a reset, only on request."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        passwords: PasswordHasher,
        principals: Principals,
        accounts: Accounts,
        outbox: MailQueue,
        *,
        public_url: str,
        keep_sealed: bool,
    ) -> None:
        self._database = database
        self._keys = keys
        self._passwords = passwords
        self._principals = principals
        self._accounts = accounts
        self._outbox = outbox
        self._public_url = public_url.rstrip("/")
        self._keep_sealed = keep_sealed

    @property
    def can_send(self) -> bool:
        """Whether mail is set up, so that tokens can be sent."""
        return self._outbox.can_send

    async def change(self, who: Principal, current: str, new: str) -> LoggedIn:
        """Change the password, given the current one; return new tokens. Raises WrongLogin and Invalid.

        Of several concurrent changes with the same current password, one succeeds.
        """
        check_password(new, field="new_password")
        async with self._database.session() as session:
            account = await session.get(Account, who.account)
        kept = account.password_hash if account else None
        if not await self._passwords.verify(kept, current):
            raise WrongLogin
        new_hash = await self._passwords.hash(new)
        async with self._database.session() as session:
            account = await lock_account(session, who.account)
            if account is None or account.password_hash != kept:
                raise WrongLogin
            await _set_password(session, account, new_hash)
        self._principals.forget(who.account)
        return await self._accounts.fresh(who.account)

    async def ask(self, email: str) -> None:
        """Send a token to the account of that e-mail, if there is one. Returns before the account is queried.

        Raises Invalid, Unavailable, and MailNotSetUp if no mail can be sent at all.
        """
        address = clean_email(email)
        self._outbox.send(lambda: self._write(address))

    async def confirm(self, token: str, password: str, *, keep_keys: bool = False) -> LoggedIn:
        """Set a new password by a token, which works once. Raises Invalid, InvalidReset and Suspended.

        Keys older than the verification of the address (all, if it was never verified) are revoked unless
        `keep_keys`, since somebody else may have created the account, and them, with this address. If the
        personal key is among them, a new one is created. A mailed token also verifies the address.
        """
        check_password(password, field="password")
        if not token.startswith(_PREFIX) or not token.isascii():
            raise InvalidReset
        digest = self._keys.digest(token)
        if not await self._is_open(digest):
            raise InvalidReset
        new_hash = await self._passwords.hash(password)
        async with self._database.session() as session:
            account, verified_at = await _use(session, digest)
            key = None if keep_keys else await self._revoke_unproven(session, account.id, verified_at)
            await _set_password(session, account, new_hash)
        self._principals.forget(account.id)
        return await self._accounts.fresh(account.id, api_key=key)

    async def _revoke_unproven(
        self, session: AsyncSession, account: UUID, verified_at: datetime | None
    ) -> str | None:
        """The text of a new personal key, if the old one was revoked."""
        is_unproven = ApiKey.created_at < (verified_at or func.clock_timestamp())
        revoke = update(ApiKey).where(ApiKey.account == account, is_unproven, is_ahead(ApiKey.revoked_at))
        revoke = revoke.values(revoked_at=func.clock_timestamp()).returning(ApiKey.personal)
        if not any(await session.scalars(revoke, **_UNSYNCED)):
            return None
        return await add_personal_key(session, self._keys, account, keep_sealed=self._keep_sealed)

    async def _is_open(self, digest: bytes) -> bool:
        """Checked before the password is hashed, so that a guessed token costs only this query."""
        async with self._database.session() as session:
            return await session.scalar(select(ResetToken.by_mail).where(*_is_token(digest))) is not None

    async def _write(self, address: str) -> Mail | None:
        token = new_reset_token()
        async with self._database.session() as session:
            digest = self._keys.digest(token)
            made = await add_reset(session, digest, Account.email == address, life=_LIFE, by_mail=True)
            expired = select(ResetToken.digest).where(ResetToken.expires_at < func.clock_timestamp())
            some = expired.limit(_DELETED_MAX).with_for_update(skip_locked=True)
            await session.execute(delete(ResetToken).where(ResetToken.digest.in_(some)), **_UNSYNCED)
        return None if made is None else reset_mail(address, token, self._public_url)


async def add_reset(
    session: AsyncSession, digest: bytes, whose: ColumnElement[bool], *, life: timedelta, by_mail: bool
) -> ResetToken | None:
    """Add a token for the account `whose` password may be reset; None if there is none."""
    may = (Account.kind == "registered", Account.password_hash.is_not(None), Account.suspended.is_(False))
    account = await AccountRepository(session=session).get_one_or_none(whose, *may)
    if account is None:
        return None
    expires_at = func.clock_timestamp() + life  # the database's time, which it is compared with
    made = ResetToken(digest=digest, account=account.id, expires_at=expires_at, by_mail=by_mail)
    session.add(made)
    await session.flush()
    await session.refresh(made, ["expires_at"])
    return made


def new_reset_token() -> str:
    """A random token; only its digest is stored."""
    return _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


async def _use(session: AsyncSession, digest: bytes) -> tuple[Account, datetime | None]:
    """The token's account, and when its address was verified before. Deletes the token; if it was mailed,
    marks the address as verified.

    Locks in the common order: wallet, account, then what belongs to the account.
    """
    reset = await session.scalar(select(ResetToken).where(*_is_token(digest)))
    account = reset and await session.get(Account, reset.account)
    if reset is None or account is None:
        raise InvalidReset
    verified_at = account.verified_at
    if reset.by_mail:
        await (await pool.raw(session)).execute(query("verify_email"), account.id, account.email)
    account = await lock_account(session, reset.account)
    use = delete(ResetToken).where(*_is_token(digest)).returning(ResetToken.account)
    if await session.scalar(use, **_UNSYNCED) is None:
        raise InvalidReset
    if account is None or account.suspended:
        raise Suspended
    return account, verified_at


def _is_token(digest: bytes) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return ResetToken.digest == digest, ResetToken.expires_at > func.clock_timestamp()


async def _set_password(session: AsyncSession, account: Account, password_hash: str) -> None:
    """Store the new hash, and end all tokens: of log-ins and of other resets."""
    account.password_hash = password_hash
    account.token_epoch += 1
    await session.execute(delete(ResetToken).where(ResetToken.account == account.id))
