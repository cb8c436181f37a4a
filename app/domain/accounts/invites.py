"""Invitations: codes for sign-up, each with a number of uses and the tier of the new accounts."""

import secrets
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.errors import Invalid, InvalidInvite
from app.domain.identity.key_crypto import KeyRing
from db.postgres.models import Invite, Plan
from db.postgres.repositories import is_ahead

_PREFIX = "cvi_"
_CODE_BYTES = 16
_USES_MAX = 100_000


class NewInvite(NamedTuple):
    """A new invitation's id, and its code, which is shown only once."""

    id: UUID
    code: str


async def create_invite(
    session: AsyncSession,
    keys: KeyRing,
    *,
    created_by: str,
    tier: int,
    uses: int = 1,
    expires_at: datetime | None = None,
) -> NewInvite:
    """Create an invitation; only the code's digest is stored. Raises Invalid.

    The caller commits, and checks the authorization.
    """
    if not 0 < uses <= _USES_MAX:
        raise Invalid(f"An invitation has 1 to {_USES_MAX} uses.", field="uses", limit=[1, _USES_MAX])
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise Invalid("An invitation cannot end in the past.", field="expires_at")
    if await session.get(Plan, tier) is None:
        raise Invalid(f"There is no plan of tier {tier}.", field="tier")
    code = _PREFIX + secrets.token_urlsafe(_CODE_BYTES)
    made = Invite(
        digest=keys.digest(code),
        created_by=created_by,
        tier=tier,
        uses=uses,
        uses_left=uses,
        expires_at=expires_at,
    )
    session.add(made)
    await session.flush()
    return NewInvite(made.id, code)


async def check_invite(session: AsyncSession, keys: KeyRing, code: str) -> None:
    """Raise InvalidInvite unless the code is valid now."""
    found = select(Invite.id).where(Invite.digest == keys.digest(code), is_usable())
    if not _is_code(code) or await session.scalar(found) is None:
        raise InvalidInvite


async def use_invite(session: AsyncSession, keys: KeyRing, code: str) -> int:
    """Use a code once, in the session's transaction; return its tier. Raises InvalidInvite."""
    use = update(Invite).where(Invite.digest == keys.digest(code), is_usable())
    tier = await session.scalar(use.values(uses_left=Invite.uses_left - 1).returning(Invite.tier))
    if tier is None:
        raise InvalidInvite
    return tier


def is_usable() -> ColumnElement[bool]:
    """Whether an invitation admits another account."""
    return (Invite.uses_left > 0) & is_ahead(Invite.expires_at)


def _is_code(text: str) -> bool:
    return text.startswith(_PREFIX) and text.isascii()
