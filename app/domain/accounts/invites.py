"""Invitations: codes for sign-up, each with a number of uses and the tier of the new accounts."""

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from app.domain.errors import Invalid, InvalidInvite
from app.domain.identity.key_crypto import KeyRing
from db.postgres.pool import Connection
from db.postgres.queries import query

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

_PREFIX = "cvi_"
_CODE_BYTES = 16
_USES_MAX = 100_000


class NewInvite(NamedTuple):
    """A new invitation's id, and its code, which is shown only once."""

    id: UUID
    code: str


async def create_invite(
    connection: Connection,
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
    if await connection.fetchval("SELECT true FROM cv.plan WHERE tier = $1", tier) is None:
        raise Invalid(f"There is no plan of tier {tier}.", field="tier")
    code = _PREFIX + secrets.token_urlsafe(_CODE_BYTES)
    made: Any = await connection.fetchval(
        query("add_invite"), keys.digest(code), created_by, tier, uses, expires_at
    )
    return NewInvite(made, code)


async def check_invite(connection: Connection, keys: KeyRing, code: str) -> None:
    """Raise InvalidInvite unless the code is valid now."""
    if not _is_code(code) or not await connection.fetchval(query("is_invite_open"), keys.digest(code)):
        raise InvalidInvite


async def use_invite(session: "AsyncSession", keys: KeyRing, code: str) -> int:
    """Use a code once, in the session's transaction; return its tier. Raises InvalidInvite."""
    # Through SQLAlchemy, since only its own first statement begins the transaction.
    connection = await session.connection()
    used = await connection.exec_driver_sql(query("use_invite"), (keys.digest(code),))
    tier: int | None = used.scalar()
    if tier is None:
        raise InvalidInvite
    return tier


def _is_code(text: str) -> bool:
    return text.startswith(_PREFIX) and text.isascii()
