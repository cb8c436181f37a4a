"""Password changes, and resets by mail. A reset request does not reveal whether an account exists."""

import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

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
from db.postgres.queries import query

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

_PREFIX = "cvr_"
_TOKEN_BYTES = 32


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
            from db.postgres.repositories import account_by_id

            account = await account_by_id(session, who.account)
        kept = account.password_hash if account else None
        if not await self._passwords.verify(kept, current):
            raise WrongLogin
        new_hash = await self._passwords.hash(new)
        async with self._database.session() as session:
            await _set_password(session, who.account, new_hash, before=kept)
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
            found = await _use(session, digest)
            key = None if keep_keys else await self._revoke_unproven(session, found.id, found.verified_at)
            await _set_password(session, found.id, new_hash)
        self._principals.forget(found.id)
        return await self._accounts.fresh(found.id, api_key=key)

    async def _revoke_unproven(
        self, session: "AsyncSession", account: UUID, verified_at: datetime | None
    ) -> str | None:
        """The text of a new personal key, if the old one was revoked."""
        connection = await pool.raw(session)
        revoked = await connection.fetch(query("revoke_unproven_keys"), account, verified_at)
        if not any(row["personal"] for row in revoked):
            return None
        return await add_personal_key(session, self._keys, account, keep_sealed=self._keep_sealed)

    async def _is_open(self, digest: bytes) -> bool:
        """Checked before the password is hashed, so that a guessed token costs only this query."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(query("is_password_reset_open"), digest))

    async def _write(self, address: str) -> Mail | None:
        token = new_reset_token()
        async with self._database.connection() as connection:
            found = await connection.fetchval(query("add_password_reset"), address, self._keys.digest(token))
        return None if found is None else reset_mail(address, token, self._public_url)


def new_reset_token() -> str:
    """A random token; only its digest is stored."""
    return _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


async def _use(session: "AsyncSession", digest: bytes) -> Any:
    """The token's account. Deletes the token; if it was mailed, marks the address as verified.

    Locks in the common order: wallet, account, then what belongs to the account.
    """
    from db.postgres.repositories import lock_account

    # Through SQLAlchemy, since only its own first statement begins the transaction.
    connection = await session.connection()
    found = (await connection.exec_driver_sql(query("password_reset"), (digest,))).first()
    if found is None:
        raise InvalidReset
    if found.by_mail:
        await connection.exec_driver_sql(query("verify_email"), (found.id, found.email))
    account = await lock_account(session, found.id)
    if (await connection.exec_driver_sql(query("use_password_reset"), (digest,))).first() is None:
        raise InvalidReset
    if account is None or account.suspended:
        raise Suspended
    return found


async def _set_password(
    session: "AsyncSession", account: UUID, password_hash: str, *, before: str | None = None
) -> None:
    """Store the new hash, and end all tokens: of log-ins and of other resets.

    Raises WrongLogin if `before` is given and is no longer the stored hash.
    """
    from db.postgres.repositories import raise_token_epoch, set_password_hash

    if not await set_password_hash(session, account, password_hash, before=before) and before is not None:
        raise WrongLogin
    await raise_token_epoch(session, account)
    await (await pool.raw(session)).execute(query("forget_password_resets"), account)
