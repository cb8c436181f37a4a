"""Password reset links that operators create for people whom no mail reaches."""

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from app.domain.accounts.mail_texts import link
from app.domain.accounts.password_reset import new_reset_token
from app.domain.admin.operations import AdminOperation, find_replay, record_operation, resolve_account
from app.domain.errors import Invalid
from app.domain.identity.key_crypto import KeyRing
from db.postgres.pool import Connection
from db.postgres.queries import query

LIFE = timedelta(days=1)


class ResetLink(Struct, frozen=True, kw_only=True):
    """The result. `token` and `url` are shown only once; `url` is null where no public URL is set."""

    code: str
    account: UUID
    token: str | None = None
    url: str | None = None
    expires_at: datetime | None = None


async def make_reset_link(
    connection: Connection, act: AdminOperation, keys: KeyRing, account: str, *, public_url: str
) -> ResetLink:
    """Create a one-time token, valid for a day, for the person. Raises NotFound, Invalid and KeyReused.

    It does not prove that the e-mail address is theirs, so using it does not verify the address.
    """
    owner = await resolve_account(connection, account)
    if await find_replay(connection, act, "reset_link", owner, {}):
        return ResetLink(code="replayed", account=owner)
    token = new_reset_token()
    until = await connection.fetchval(query("add_operators_reset"), owner, keys.digest(token), LIFE)
    if until is None:
        raise Invalid("This account is suspended, or has no password that could be reset.", field="account")
    await record_operation(connection, act, "reset_link", owner)
    url = link(public_url, "/reset/confirm", token) if public_url else None
    return ResetLink(code="made", account=owner, token=token, url=url, expires_at=until)
