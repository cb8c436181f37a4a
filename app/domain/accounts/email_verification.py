"""E-mail addresses shown to be their owners': by a token that is mailed there, and comes back."""

from typing import Literal
from uuid import UUID

from app.domain.accounts.mail import Mail
from app.domain.accounts.mail_queue import MailQueue
from app.domain.accounts.mail_texts import verification_mail
from app.domain.database import Database
from app.domain.errors import ExpiredToken, InvalidToken, InvalidVerification, NothingToVerify
from app.domain.identity.principals import Principal
from app.domain.identity.tokens import Address, Tokens
from db.postgres.queries import query
from db.settings import SettingsError


class EmailVerification:
    """Sends tokens and takes them back. Nothing is kept of a token: to use one twice changes nothing."""

    def __init__(
        self,
        record: Database,
        tokens: Tokens,
        outbox: MailQueue,
        *,
        mode: Literal["off", "required"],
        public_url: str,
    ) -> None:
        """Raises SettingsError where addresses are to be verified and no mail can be sent."""
        self.is_required = mode == "required"
        if self.is_required and not outbox.can_send:
            raise SettingsError(
                "CODEVOICE_EMAIL_VERIFICATION: required needs mail, so set CODEVOICE_SMTP_URL"
                " or CODEVOICE_MAIL_FOLDER"
            )
        self._record = record
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
        """Another token for who asks, unless the address is verified already. Raises NothingToVerify."""
        async with self._record.connection() as connection:
            email = await connection.fetchval(query("unverified_email"), who.account)
        if email is None:
            raise NothingToVerify
        self.send(who.account, email)

    async def confirm(self, token: str) -> None:
        """The address of this token is verified; free credits that waited for it are there.

        Raises InvalidVerification, also where the account has another address by now.
        """
        try:
            address = self._tokens.read_verification(token)
        except (InvalidToken, ExpiredToken, ValueError):
            raise InvalidVerification from None
        async with self._record.connection() as connection:
            if not await connection.fetchval(query("verify_email"), address.account, address.email):
                raise InvalidVerification
