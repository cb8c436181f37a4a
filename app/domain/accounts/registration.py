"""Creates accounts: validates their fields, and inserts their rows in one transaction."""

import re
from typing import Any
from uuid import UUID, uuid4

from advanced_alchemy.exceptions import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts.api_keys import NewKey, add_key
from app.domain.errors import EmailTaken, Invalid
from app.domain.identity.key_crypto import KeyRing
from app.domain.speech.validation import is_one_line, is_unicode
from db.postgres import ledger, pool
from db.postgres.models import Account
from db.postgres.repositories import AccountRepository

_PERSONAL = NewKey(name="personal", scopes=[], personal=True)
FREE_TIER = 1
_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
# Of a new account. Some mail servers relay addresses with `%`. Internal host names may have one label.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NEW_EMAIL = re.compile(rf"(?!-)[^%@]+@(?:{_LABEL}\.)*(?![0-9]+$){_LABEL}")
_EMAIL_CHARACTERS_MAX = 254
PASSWORD_CHARACTERS = (8, 1024)
_NAME_CHARACTERS_MAX = 200


async def create_account(
    session: AsyncSession,
    keys: KeyRing,
    *,
    email: str,
    password_hash: str,
    name: str | None,
    keep_sealed: bool,
    tier: int = FREE_TIER,
    admin: bool = False,
    verification_due: bool = False,
) -> tuple[Account, str]:
    """Create account, wallet and personal key in the session's transaction; return account and key text.

    If a verification is due, there are no free credits before it. Raises EmailTaken.
    """
    account = await add_account(
        session,
        kind="registered",
        email=email,
        name=name,
        password_hash=password_hash,
        tier=tier,
        admin=admin,
        verification_due=verification_due,
    )
    await ledger.open_wallet(
        await pool.raw(session),
        account.id,
        kind="registered",
        tier=tier,
        monthly=0 if verification_due else None,
    )
    return account, await add_personal_key(session, keys, account.id, keep_sealed=keep_sealed)


async def add_account(session: AsyncSession, **columns: Any) -> Account:
    """Add an account. Raises EmailTaken, by the database's constraint, which also excludes races."""
    try:
        return await AccountRepository(session=session).add(Account(id=uuid4(), **columns))
    except IntegrityError as error:
        if "account_email_taken" not in str(error.__cause__):
            raise
        raise EmailTaken("This e-mail has an account already. Log in instead.", field="email") from None


async def add_personal_key(session: AsyncSession, keys: KeyRing, account: UUID, *, keep_sealed: bool) -> str:
    """Add a key without scopes; return its text, which is stored only sealed, or not at all."""
    return (await add_key(session, keys, account, _PERSONAL, keep_sealed=keep_sealed))[1]


def clean_email(email: str) -> str:
    """The e-mail of a new account, as it is stored: trimmed, in lower case. Raises Invalid."""
    cleaned = email.strip().lower()
    if not (is_email(cleaned) and _NEW_EMAIL.fullmatch(cleaned)):
        raise Invalid(
            f"This is no e-mail address of at most {_EMAIL_CHARACTERS_MAX} characters.",
            field="email",
            limit=_EMAIL_CHARACTERS_MAX,
        )
    return cleaned


def is_email(text: str) -> bool:
    """Whether `text`, in lower case, may be an account's address, of older accounts too."""
    return len(text) <= _EMAIL_CHARACTERS_MAX and bool(_EMAIL.fullmatch(text)) and ".." not in text


def check_password(password: str, *, field: str = "password") -> None:
    """Raise Invalid unless the password's length is within the limits."""
    least, most = PASSWORD_CHARACTERS
    if not least <= len(password) <= most or not is_unicode(password):
        message = f"A password has {least} to {most} characters."
        raise Invalid(message, field=field, limit=[least, most])


def check_name(name: str | None) -> None:
    """Raise Invalid unless the name can be stored."""
    if name is None:
        return
    if len(name) > _NAME_CHARACTERS_MAX or not is_one_line(name) or not is_unicode(name):
        message = f"A name has at most {_NAME_CHARACTERS_MAX} characters, on one line."
        raise Invalid(message, field="name", limit=_NAME_CHARACTERS_MAX)
