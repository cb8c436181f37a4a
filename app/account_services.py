"""The parts that people's accounts need, built of the settings: sign-up, log-in, mails, verification."""

from typing import NamedTuple

from app import choices
from app.domain.accounts.email_verification import Verification
from app.domain.accounts.mail_queue import Outbox
from app.domain.accounts.password_hashing import Passwords
from app.domain.accounts.password_reset import Resets
from app.domain.accounts.service import Accounts
from app.domain.database import Record
from app.domain.identity.key_crypto import KeyRing
from app.domain.identity.principals import Principals
from app.domain.identity.tokens import Tokens
from app.settings import AppSettings


class People(NamedTuple):
    """What people's accounts need."""

    accounts: Accounts
    resets: Resets
    verification: Verification
    outbox: Outbox


def open_people(
    record: Record,
    keys: KeyRing,
    passwords: Passwords,
    tokens: Tokens,
    principals: Principals,
    settings: AppSettings,
) -> People:
    """Every part once. Raises SettingsError where e-mails are to be verified and no mail can be sent."""
    url, outbox = settings.public_url, Outbox(choices.mailer(settings))
    verification = Verification(record, tokens, outbox, mode=settings.email_verification, public_url=url)
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
    resets = Resets(
        record, keys, passwords, principals, accounts, outbox, public_url=url, keep_sealed=keep_sealed
    )
    return People(accounts, resets, verification, outbox)
