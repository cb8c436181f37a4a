"""Sends mail: by SMTP, into a folder, or only into the log."""

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import default
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit
from uuid import uuid4

import structlog
from msgspec import Struct

from db.settings import SettingsError

_TIMEOUT_S = 20  # for one response of the server
_MAIL_S_MAX = 60.0  # for a mail, its wait for a thread included
_THREADS = 4


class MailError(Exception):
    """The mail could not be handed over; the message says why, without recipient and content."""


class Mail(Struct, frozen=True, kw_only=True):
    """A mail in plain text; the text may contain a secret."""

    to: str
    subject: str
    text: str


class MailSettings(Struct, frozen=True, kw_only=True):
    """How mail is sent."""

    smtp_url: str = ""  # smtp://[user:password@]host[:port], smtps://…; empty: no mail is sent
    mail_from: str = "CodeVoice <codevoice@localhost>"
    mail_folder: str = ""  # writes mails as files if there is no SMTP URL
    mail_text_logged: bool = False  # for developers: mails are logged, with their tokens


class Mailer(Protocol):
    """Sends mail. Raises MailError. `can_send` is false if no mail would ever be delivered."""

    @property
    def can_send(self) -> bool:
        """Whether mails reach people."""
        ...

    async def send(self, mail: Mail) -> None:
        """Send one mail. Raises MailError."""
        ...


def open_mailer(by: MailSettings) -> Mailer:
    """A mailer by SMTP if `smtp_url` is set, else into `mail_folder`, else the log. Raises SettingsError."""
    if by.smtp_url:
        return SmtpMailer(by.smtp_url, by.mail_from)
    if by.mail_folder:
        return FolderMailer(Path(by.mail_folder), by.mail_from)
    return LogMailer(is_text_logged=by.mail_text_logged)


class LogMailer:
    """Logs that a mail would have been sent; with its text only if a developer has asked for that."""

    def __init__(self, *, is_text_logged: bool) -> None:
        self._is_text_logged = is_text_logged
        self.can_send = is_text_logged

    async def send(self, mail: Mail) -> None:
        """Write one line to the log."""
        shown = {"to": mail.to, "text": mail.text} if self._is_text_logged else {}
        structlog.get_logger().info("mail_not_sent_but_logged", subject=mail.subject, **shown)


class _Threads:
    """Threads for mail only, so that nothing else waits when all of them are blocked."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="mail")

    async def run(self, work: Callable[[], None], *, within_s: float) -> None:
        """Run `work` in a thread. Raises MailError if it fails, or is not finished in time."""
        try:
            async with asyncio.timeout(within_s):
                await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except (OSError, smtplib.SMTPException) as error:  # TimeoutError is an OSError
            raise MailError(type(error).__name__) from error


class FolderMailer:
    """Writes each mail to a file, in the format in which it would be sent."""

    can_send = True

    def __init__(self, folder: Path, sender: str) -> None:
        self._threads = _Threads()
        self._folder = folder
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        """Write the file atomically: a reader never sees half a mail."""
        content = _message(mail, self._sender).as_bytes()
        await self._threads.run(lambda: self._write(content), within_s=_MAIL_S_MAX)

    def _write(self, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{uuid4()}.part"
        path.touch(mode=0o600)
        path.write_bytes(content)
        path.rename(path.with_suffix(".eml"))


def forget_mails(folder: Path, address: str) -> int:
    """Delete the mails to `address` in that folder; return how many. Blocking. Raises OSError."""
    mails = [path for path in folder.glob("*.eml") if _to(path) == address]
    for path in mails:
        path.unlink(missing_ok=True)
    return len(mails)


def _to(path: Path) -> str:
    with path.open("rb") as file:
        return str(BytesHeaderParser(policy=default).parse(file)["To"])


class SmtpMailer:
    """`smtp://user:password@host:587` (with STARTTLS if there is a user), or `smtps://…:465`."""

    can_send = True

    def __init__(self, url: str, sender: str, *, within_s: float = _MAIL_S_MAX) -> None:
        self._threads = _Threads()
        self._url = _checked(url)
        self._sender = sender
        self._within_s = within_s

    async def send(self, mail: Mail) -> None:
        """Send the mail over a connection of its own, in a thread."""
        message = _message(mail, self._sender)
        await self._threads.run(lambda: self._send(message), within_s=self._within_s)

    def _send(self, message: EmailMessage) -> None:
        user, password = unquote(self._url.username or ""), unquote(self._url.password or "")
        with self._connect() as server:
            if self._url.scheme == "smtp" and user:
                server.starttls(context=ssl.create_default_context())
            if user:
                server.login(user, password)
            server.send_message(message)

    def _connect(self) -> smtplib.SMTP:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "smtps":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(host, port or 465, timeout=_TIMEOUT_S, context=context)
        return smtplib.SMTP(host, port or 25, timeout=_TIMEOUT_S)


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("smtp", "smtps") and parts.hostname and (parts.port or 1) > 0:
            return parts
    except ValueError:
        pass
    # The message does not quote the URL, which may contain a password.
    raise SettingsError("CODEVOICE_SMTP_URL is no smtp://host:port or smtps://host:port")


def _message(mail: Mail, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].strip("<> ") or "localhost")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message
