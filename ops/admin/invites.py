"""`codevoice invites …`: made, listed, revoked."""

from datetime import UTC, datetime

import rich_click as click

from app.domain.admin import invites
from app.domain.admin.invites import FREE_PLAN, Invited, NewInvitation
from ops.admin import output
from ops.admin.api_settings import key_settings, public_url
from ops.admin.execution import ask, do, look
from ops.admin.options import CommandContext, Paging, acts, pages


@click.command()
@click.option("--plan", default=FREE_PLAN, show_default=True, help="Plan (name or tier) they are put on.")
@click.option("--uses", default=1, show_default=True, help="So many people may sign up by it.")
@click.option("--until", "expires_at", type=click.DateTime(), help="UTC; without it: for ever.")
@acts(reason="invited by an operator")
def create(doing: CommandContext, plan: str, uses: int, expires_at: datetime | None) -> None:
    """Make an invitation, for where sign-up is by invitation. Its code is shown this once."""
    ask(doing, f"Make an invitation for {uses} onto the plan {plan}?")
    keys, url = key_settings(), public_url()
    until = expires_at.replace(tzinfo=UTC) if expires_at else None
    wanted = NewInvitation(plan=plan, uses=uses, expires_at=until)
    do(
        doing,
        lambda connection, act: invites.create(connection, act, keys.ring, wanted, public_url=url),
        _in_words,
    )


@click.command()
@pages
def list_(paging: Paging) -> None:
    """Invitations, the last made first; their codes are not kept."""
    found = look(
        lambda connection: invites.list_invites(connection, limit=paging.limit, cursor=paging.cursor)
    )
    columns = (
        "id",
        "created_at",
        "created_by",
        "plan",
        "uses",
        "uses_left",
        "expires_at",
        "revoked_at",
        "usable",
    )
    output.page(found, *columns, in_json=paging.as_json)


@click.command()
@click.argument("invite")
@acts()
def revoke(doing: CommandContext, invite: str) -> None:
    """Let nobody sign up by INVITE (its id) any more; who has, stays."""
    ask(doing, f"Revoke invitation {invite}?")
    do(doing, lambda connection, act: invites.revoke(connection, act, invite), _in_words)


def _in_words(done: Invited) -> str:
    lines = [f"{done.code}: invitation {done.invite}"]
    if done.invitation:
        lines.append(f"code {done.invitation}")
    if done.url:
        lines.append(f"link {done.url}")
    return "\n".join(lines)
