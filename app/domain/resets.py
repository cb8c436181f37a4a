"""Passwords changed, and forgotten ones reset by mail. Whoever asks for a mail learns nothing by it."""

import asyncio
import secrets
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from app.domain.accounts import Accounts, LoggedIn
from app.domain.errors import DomainError, InvalidReset, Suspended, Unavailable, WrongLogin
from app.domain.keys import KeyRing
from app.domain.mail import Mail, Mailer, MailError
from app.domain.opening import check_password, clean_email
from app.domain.passwords import Passwords
from app.domain.principals import Principal, Principals
from app.domain.record import Record
from db import engine
from db.queries import query

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

_SENDING_MAX = 100
_PREFIX = "cvr_"
_TOKEN_BYTES = 32


class Resets:
    """Changes passwords: each ends every token given out before, and keys stay."""

    def __init__(
        self,
        record: Record,
        keys: KeyRing,
        passwords: Passwords,
        principals: Principals,
        accounts: Accounts,
        mailer: Mailer,
        *,
        public_url: str,
    ) -> None:
        self._record = record
        self._keys = keys
        self._passwords = passwords
        self._principals = principals
        self._accounts = accounts
        self._mailer = mailer
        self._public_url = public_url.rstrip("/")
        self._sending: set[asyncio.Task[None]] = set()

    async def change(self, who: Principal, current: str, new: str) -> LoggedIn:
        """Another password for who knows the present one; fresh tokens. Raises WrongLogin and Invalid."""
        check_password(new, field="new_password")
        async with self._record.session() as session:
            from db.repos import account_by_id

            account = await account_by_id(session, who.account)
        kept = account.password_hash if account else None
        if not await self._passwords.verify(kept, current):
            raise WrongLogin
        new_hash = await self._passwords.hash(new)
        async with self._record.session() as session:
            await _set_password(session, who.account, new_hash)
        self._principals.forget(who)
        return await self._accounts.fresh(who.account)

    async def ask(self, email: str) -> None:
        """Send a token to the account of that e-mail, if there is one. Answers before it is looked up."""
        address = clean_email(email)
        if len(self._sending) >= _SENDING_MAX:
            raise Unavailable("Too many mails are on their way. Please try again in a moment.")
        task = asyncio.create_task(self._send(address))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def confirm(self, token: str, password: str) -> LoggedIn:
        """Another password for who has the token, which works once. Raises InvalidReset and Suspended."""
        check_password(password, field="password")
        if not token.startswith(_PREFIX) or not token.isascii():
            raise InvalidReset
        digest = self._keys.digest(token)
        if not await self._is_open(digest):
            raise InvalidReset
        new_hash = await self._passwords.hash(password)
        async with self._record.session() as session:
            # By SQLAlchemy, with whose first statement alone the transaction begins.
            connection = await session.connection()
            found = (await connection.exec_driver_sql(query("use_password_reset"), (digest,))).first()
            if found is None:
                raise InvalidReset
            if found.suspended:
                raise Suspended
            await _set_password(session, found.id, new_hash)
        return await self._accounts.fresh(found.id)

    async def close(self) -> None:
        """Drop the mails not yet sent."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _is_open(self, digest: bytes) -> bool:
        """Looked at before the password is hashed: a guess costs no more than a look."""
        async with self._record.connection() as connection:
            return bool(await connection.fetchval(query("is_password_reset_open"), digest))

    async def _send(self, address: str) -> None:
        token = _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        try:
            async with self._record.connection() as connection:
                found = await connection.fetchval(
                    query("add_password_reset"), address, self._keys.digest(token)
                )
            if found is not None:
                await self._mailer.send(self._mail(address, token))
        except (DomainError, MailError) as error:
            structlog.get_logger().warning("reset_not_sent", reason=str(error) or type(error).__name__)

    def _mail(self, address: str, token: str) -> Mail:
        page, call = f"{self._public_url}/reset/confirm", "/api/auth/password/reset/confirm"
        choose = f"{page}?token={token}" if self._public_url else f"the page {page}"
        text = (
            "Somebody, probably you, asked for a new password for your CodeVoice account.\n\n"
            f"Choose it here:\n\n{choose}\n\n"
            f"Your token, good once and for an hour:\n\n{token}\n\n"
            f'A program sends it with the new password, as {{"token": …, "password": …}}, to\n'
            f"POST {self._public_url}{call}\n\n"
            "If it was not you, you need not do anything: your password stays as it is.\n"
        )
        return Mail(to=address, subject="Your new CodeVoice password", text=text)


async def _set_password(session: "AsyncSession", account: UUID, password_hash: str) -> None:
    """The new hash, and an end to all tokens: of log-ins and of other resets."""
    from db.repos import raise_token_epoch, set_password_hash

    await set_password_hash(session, account, password_hash)
    await raise_token_epoch(session, account)
    await (await engine.raw(session)).execute(query("forget_password_resets"), account)
