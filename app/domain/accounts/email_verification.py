"""E-mail verification: a token is mailed to the address, and its return proves that the owner reads it."""

from typing import Literal
from uuid import UUID

from sqlalchemy import select

from app.domain.accounts.mail import Mail
from app.domain.accounts.mail_queue import MailQueue
from app.domain.accounts.mail_texts import verification_mail
from app.domain.database import Database
from app.domain.errors import ExpiredToken, InvalidToken, InvalidVerification, NothingToVerify
from app.domain.identity.principals import Principal
from app.domain.identity.tokens import Address, Tokens
from db.postgres.models import Account
from db.postgres.queries import query
from db.settings import SettingsError


class EmailVerification:
    """Sends and confirms tokens. Tokens are not stored: confirming one twice changes nothing."""

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        outbox: MailQueue,
        *,
        mode: Literal["off", "required"],
        public_url: str,
    ) -> None:
        """Raises SettingsError if verification is required and no mail can be sent."""
        self.is_required = mode == "required"
        if self.is_required and not outbox.can_send:
            raise SettingsError(
                "CODEVOICE_EMAIL_VERIFICATION: required needs mail, so set CODEVOICE_SMTP_URL"
                " or CODEVOICE_MAIL_FOLDER"
            )
        self._database = database
        self._tokens = tokens
        self._outbox = outbox
        self._public_url = public_url.rstrip("/")

    def send(self, account: UUID, email: str) -> None:
        """Send a token to the address. Raises MailNotSetUp and Unavailable."""
        token = self._tokens.issue_verification(Address(account, email))

        async def write() -> Mail:
            return verification_mail(email, token, self._public_url)

        self._outbox.send(write)

    async def send_again(self, who: Principal) -> None:
        """Send the caller another token. Raises NothingToVerify if the address is verified already."""
        async with self._database.session() as session:
            unverified = select(Account.email).where(Account.id == who.account, Account.verified_at.is_(None))
            email = await session.scalar(unverified)
        if email is None:
            raise NothingToVerify
        self.send(who.account, email)

    async def confirm(self, token: str) -> None:
        """Verify the token's address, and grant the free credits that waited for it.

        Raises InvalidVerification, also if the account has another address by now.
        """
        try:
            address = self._tokens.read_verification(token)
        except (InvalidToken, ExpiredToken, ValueError):
            raise InvalidVerification from None
        async with self._database.connection() as connection:
            if not await connection.fetchval(query("verify_email"), address.account, address.email):
                raise InvalidVerification
