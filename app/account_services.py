"""Builds the services for accounts from the settings: sign-up, log-in, mail, e-mail verification."""

from typing import NamedTuple

from app.domain.accounts.email_verification import EmailVerification
from app.domain.accounts.mail import open_mailer
from app.domain.accounts.mail_queue import MailQueue
from app.domain.accounts.password_hashing import PasswordHasher
from app.domain.accounts.password_reset import PasswordReset
from app.domain.accounts.service import Accounts
from app.domain.database import Database
from app.domain.identity.key_crypto import KeyRing
from app.domain.identity.principals import Principals
from app.domain.identity.tokens import Tokens
from app.settings import AppSettings


class AccountServices(NamedTuple):
    """The services for accounts."""

    accounts: Accounts
    resets: PasswordReset
    verification: EmailVerification
    outbox: MailQueue


def open_account_services(
    database: Database,
    keys: KeyRing,
    passwords: PasswordHasher,
    tokens: Tokens,
    principals: Principals,
    settings: AppSettings,
) -> AccountServices:
    """Build each service once. Raises SettingsError if e-mail must be verified but no mail can be sent."""
    url, outbox = settings.public_url, MailQueue(open_mailer(settings.mail))
    verification = EmailVerification(
        database, tokens, outbox, mode=settings.email_verification, public_url=url
    )
    accounts = Accounts(
        database,
        keys,
        passwords,
        tokens,
        principals,
        verification,
        registration=settings.registration,
        reveal=settings.keys.reveal,
    )
    sealed = settings.keys.keep_sealed
    resets = PasswordReset(
        database, keys, passwords, principals, accounts, outbox, public_url=url, keep_sealed=sealed
    )
    return AccountServices(accounts, resets, verification, outbox)
