"""Sends mail in the background, so that no response shows whether there was one to send."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.domain.accounts.mail import Mail, Mailer, MailError
from app.domain.errors import DomainError, MailNotSetUp, Unavailable

_SENDING_MAX = 100


class MailQueue:
    """Sends mails in the background, at most a hundred at once; those unsent at shutdown are dropped."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def can_send(self) -> bool:
        """Whether mail is set up here."""
        return self._mailer.can_send

    def send(self, write: Callable[[], Awaitable[Mail | None]]) -> None:
        """Send the mail `write` returns, if any, later. Raises MailNotSetUp and Unavailable."""
        if not self.can_send:
            raise MailNotSetUp
        if len(self._sending) >= _SENDING_MAX:
            raise Unavailable("Too many mails are on their way. Please try again in a moment.")
        task = asyncio.create_task(self._send(write))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def close(self) -> None:
        """Drop the mails not yet sent."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send(self, write: Callable[[], Awaitable[Mail | None]]) -> None:
        try:
            mail = await write()
            if mail is not None:
                await self._mailer.send(mail)
        except (DomainError, MailError) as error:
            structlog.get_logger().warning("mail_not_sent", reason=str(error) or type(error).__name__)
