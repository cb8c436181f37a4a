"""`codevoice accounts …`: API-only accounts, limits, unlimited use, closing."""

import rich_click as click

from app.domain.admin import plans, users
from app.domain.admin.users import Changed
from app.domain.billing.credits import in_words
from ops.admin.api_settings import key_settings
from ops.admin.execution import ask, do
from ops.admin.options import CommandContext, Credits, acts
from ops.admin.users import opened_in_words


@click.command()
@click.argument("name")
@click.option("--email", help="Contact address.")
@click.option("--limit", "monthly", type=Credits(zero=True), default=0, help="Credits a month.")
@click.option("--extra", type=Credits(zero=True), default=0, help="Additional credits, until they are used.")
@click.option("--unlimited", is_flag=True, help="No limit at all.")
@acts(reason="opened by an operator")
def create_api_only(
    context: CommandContext, name: str, email: str | None, monthly: int, extra: int, unlimited: bool
) -> None:
    """Open an account for a program called NAME: a key, no log-in."""
    ask(context, f"Open an API-only account for {name}?")
    keys = key_settings()
    do(
        context,
        lambda session, act: users.create_api_only(
            session,
            act,
            keys.ring,
            name=name,
            email=email,
            monthly=monthly,
            extra=extra,
            unlimited=unlimited,
            keep_sealed=keys.keep_sealed,
        ),
        opened_in_words,
    )


@click.command()
@click.argument("account")
@click.argument("monthly", type=Credits(zero=True), metavar="CREDITS")
@acts()
def limit(context: CommandContext, account: str, monthly: int) -> None:
    """Give ACCOUNT (e-mail or id) CREDITS a month: more at once, fewer from next month.

    `plans set` gives it its plan's again.
    """
    ask(context, f"Give {account} {in_words(monthly)} credits a month?")
    do(context, lambda session, act: plans.set_limit(session, act, account, monthly), in_short)


@click.command()
@click.argument("account")
@click.option("--undo", is_flag=True, help="Restore its credit limit.")
@acts()
def unlimited(context: CommandContext, account: str, undo: bool) -> None:
    """Let ACCOUNT (e-mail or id) use the service without a credit limit."""
    ask(context, f"Let {account} use {'its credits only' if undo else 'all without limit'}?")
    do(context, lambda session, act: plans.set_unlimited(session, act, account, undo=undo), in_short)


@click.command()
@click.argument("account")
@acts()
def close(context: CommandContext, account: str) -> None:
    """Close ACCOUNT (e-mail or id) permanently: its credits expire, its open jobs still run."""
    ask(context, f"Close {account} for good? Its credits expire.")
    do(context, lambda session, act: plans.close(session, act, account), in_short)


def in_short(found: Changed) -> str:
    """An account after an operation, as one line."""
    left = "unlimited" if found.total_remaining is None else f"{found.total_remaining} credits left"
    return f"{found.code}: {found.email or found.account}, plan {found.plan}, {found.monthly} a month, {left}"
