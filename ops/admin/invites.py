"""`codevoice invites …`: create, list, revoke."""

from datetime import UTC, datetime

import rich_click as click

from app.domain.admin import invites
from app.domain.admin.invites import FREE_PLAN, Invited, NewInvitation
from ops.admin import output
from ops.admin.api_settings import key_settings, public_url
from ops.admin.execution import ask, do, query
from ops.admin.options import CommandContext, Paging, acts, pages


@click.command()
@click.option("--plan", default=FREE_PLAN, show_default=True, help="Plan (name or tier) of the new accounts.")
@click.option("--uses", default=1, show_default=True, help="How many people may sign up with it.")
@click.option("--until", "expires_at", type=click.DateTime(), help="UTC; by default it never expires.")
@acts(reason="invited by an operator")
def create(context: CommandContext, plan: str, uses: int, expires_at: datetime | None) -> None:
    """Create an invitation, needed if sign-up is by invitation. Its code is shown only once."""
    ask(context, f"Make an invitation for {uses} onto the plan {plan}?")
    keys, url = key_settings(), public_url()
    until = expires_at.replace(tzinfo=UTC) if expires_at else None
    wanted = NewInvitation(plan=plan, uses=uses, expires_at=until)
    do(
        context,
        lambda session, act: invites.create(session, act, keys.ring, wanted, public_url=url),
        _in_words,
    )


@click.command()
@pages
def list_(paging: Paging) -> None:
    """List invitations, the newest first; their codes are not stored."""
    found = query(lambda session: invites.list_invites(session, limit=paging.limit, cursor=paging.cursor))
    columns = (
        "id", "created_at", "created_by", "plan", "uses", "uses_left", "expires_at", "revoked_at", "usable",
    )  # fmt: skip
    output.page(found, *columns, in_json=paging.as_json)


@click.command()
@click.argument("invite")
@acts()
def revoke(context: CommandContext, invite: str) -> None:
    """Revoke INVITE (its id): nobody can sign up with it any more; existing accounts stay."""
    ask(context, f"Revoke invitation {invite}?")
    do(context, lambda session, act: invites.revoke(session, act, invite), _in_words)


def _in_words(done: Invited) -> str:
    lines = [f"{done.code}: invitation {done.invite}"]
    if done.invitation:
        lines.append(f"code {done.invitation}")
    if done.url:
        lines.append(f"link {done.url}")
    return "\n".join(lines)
