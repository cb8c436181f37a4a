"""Operators' operations on invitations: create, list, revoke."""

from datetime import UTC, datetime
from uuid import UUID

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts import invites
from app.domain.admin.operations import AdminOperation, find_replay, identifier, record_operation
from app.domain.admin.plans import tier_of
from app.domain.errors import Invalid, NotFound
from app.domain.identity.key_crypto import KeyRing
from app.domain.pagination import Page, select_page
from db.postgres.models import Invite, Plan

FREE_PLAN = "free"


class InviteRow(Struct, frozen=True, kw_only=True):
    """An invitation, without its code; `uses` null: unknown, created before 0.2."""

    id: UUID
    created_at: datetime
    created_by: str
    plan: str
    uses: int | None
    uses_left: int
    expires_at: datetime | None
    revoked_at: datetime | None
    usable: bool


class Invited(Struct, frozen=True, kw_only=True):
    """An operation's result. `invitation` (the code) and the sign-up `url` with it are shown only once."""

    code: str
    invite: UUID
    invitation: str | None = None
    url: str | None = None

    @property
    def account(self) -> None:
        """None: the operation belongs to no account."""


class NewInvitation(Struct, frozen=True, kw_only=True):
    """An invitation to create: the plan (name or tier), how many people may use it, and its expiry."""

    plan: str = FREE_PLAN
    uses: int = 1
    expires_at: datetime | None = None


_ROWS = select(
    Invite.id,
    Invite.created_at,
    Invite.created_by,
    Plan.name.label("plan"),
    Invite.uses,
    Invite.uses_left,
    Invite.expires_at,
    Invite.revoked_at,
    invites.is_usable().label("usable"),
).join(Plan, Plan.tier == Invite.tier)


async def list_invites(
    session: AsyncSession, *, limit: int = 50, cursor: str | None = None
) -> Page[InviteRow]:
    """Every invitation, newest first."""
    newest = (Invite.created_at, Invite.id)
    return await select_page(session, _ROWS, InviteRow, *newest, mark="id", limit=limit, cursor=cursor)


async def create(
    session: AsyncSession, act: AdminOperation, keys: KeyRing, wanted: NewInvitation, *, public_url: str
) -> Invited:
    """Create an invitation; return it with its code. Raises Invalid, NotFound and KeyReused."""
    details = {"plan": wanted.plan, "uses": wanted.uses}
    before = await find_replay(session, act, "create_invite", None, details)
    if before is not None:
        return Invited(code="replayed", invite=UUID(before.details["invite"]))
    if wanted.expires_at is not None and wanted.expires_at.tzinfo is None:
        raise Invalid("A time needs its zone, as in 2030-01-01T00:00:00Z.", field="expires_at")
    tier = await tier_of(session, wanted.plan)
    made = await invites.create_invite(
        session, keys, created_by=act.actor, tier=tier, uses=wanted.uses, expires_at=wanted.expires_at
    )
    await record_operation(session, act, "create_invite", None, {**details, "invite": str(made.id)})
    url = f"{public_url}/signup?invite={made.code}" if public_url else None
    return Invited(code="created", invite=made.id, invitation=made.code, url=url)


async def revoke(session: AsyncSession, act: AdminOperation, invite: str) -> Invited:
    """Refuse further sign-ups by an invitation; existing accounts stay. Raises NotFound and KeyReused."""
    wanted = identifier(invite, "invitation")
    details = {"invite": str(wanted)}
    if await find_replay(session, act, "revoke_invite", None, details):
        return Invited(code="replayed", invite=wanted)
    found = await session.scalar(select(Invite).where(Invite.id == wanted).with_for_update())
    if found is None:
        raise NotFound("There is no such invitation.", field="invitation")
    found.revoked_at = found.revoked_at or datetime.now(UTC)
    found.uses_left = 0  # earlier releases check only this
    await record_operation(session, act, "revoke_invite", None, details)
    return Invited(code="revoked", invite=wanted)
