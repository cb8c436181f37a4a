"""The parts that people's accounts need, built of the settings: sign-up, log-in, mails, verification."""

from typing import NamedTuple

from app import choices
from app.domain.accounts.email_verification import EmailVerification
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
    """What people's accounts need."""

    accounts: Accounts
    resets: PasswordReset
    verification: EmailVerification
    outbox: MailQueue


def open_account_services(
    record: Database,
    keys: KeyRing,
    passwords: PasswordHasher,
    tokens: Tokens,
    principals: Principals,
    settings: AppSettings,
) -> AccountServices:
    """Every part once. Raises SettingsError where e-mails are to be verified and no mail can be sent."""
    url, outbox = settings.public_url, MailQueue(choices.mailer(settings))
    verification = EmailVerification(record, tokens, outbox, mode=settings.email_verification, public_url=url)
    accounts = Accounts(
        record,
        keys,
        passwords,
        tokens,
        principals,
        verification,
        registration=settings.registration,
        reveal=settings.reveal,
    )
    keep_sealed = settings.reveal == "always"
    resets = PasswordReset(
        record, keys, passwords, principals, accounts, outbox, public_url=url, keep_sealed=keep_sealed
    )
    return AccountServices(accounts, resets, verification, outbox)
