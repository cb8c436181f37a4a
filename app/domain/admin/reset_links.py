"""Password reset links that operators create for people whom no mail reaches."""

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.accounts.mail_texts import link
from app.domain.accounts.password_reset import add_reset, new_reset_token
from app.domain.admin.operations import AdminOperation, find_replay, record_operation, resolve_account
from app.domain.errors import Invalid
from app.domain.identity.key_crypto import KeyRing
from db.postgres.models import Account

LIFE = timedelta(days=1)


class ResetLink(Struct, frozen=True, kw_only=True):
    """The result. `token` and `url` are shown only once; `url` is null where no public URL is set."""

    code: str
    account: UUID
    token: str | None = None
    url: str | None = None
    expires_at: datetime | None = None


async def make_reset_link(
    session: AsyncSession, act: AdminOperation, keys: KeyRing, account: str, *, public_url: str
) -> ResetLink:
    """Create a one-time token, valid for a day, for the person. Raises NotFound, Invalid and KeyReused.

    It does not prove that the e-mail address is theirs, so using it does not verify the address.
    """
    owner = await resolve_account(session, account)
    if await find_replay(session, act, "reset_link", owner, {}):
        return ResetLink(code="replayed", account=owner)
    token = new_reset_token()
    made = await add_reset(session, keys.digest(token), Account.id == owner, life=LIFE, by_mail=False)
    if made is None:
        raise Invalid("This account is suspended, or has no password that could be reset.", field="account")
    await record_operation(session, act, "reset_link", owner)
    url = link(public_url, "/reset/confirm", token) if public_url else None
    return ResetLink(code="made", account=owner, token=token, url=url, expires_at=made.expires_at)
