"""`codevoice credits …`: grants, refunds, expiry, and the history."""

import rich_click as click

from app.domain.admin import credits
from app.domain.admin.credits import Moved
from app.domain.billing.credits import in_words
from ops.admin import output
from ops.admin.execution import ask, do, query
from ops.admin.options import CommandContext, Credits, Paging, acts, pages


@click.command()
@click.argument("account")
@click.argument("amount", type=Credits())
@acts()
def grant(context: CommandContext, account: str, amount: int) -> None:
    """Give ACCOUNT (e-mail or id) AMOUNT paid credits."""
    ask(context, f"Give {account} {in_words(amount)} credits?")
    do(context, lambda session, act: credits.grant(session, act, account, amount), _in_short)


@click.command()
@click.argument("job")
@acts()
def refund(context: CommandContext, job: str) -> None:
    """Refund the price of JOB (its id): once, whatever the key."""
    ask(context, f"Give back what job {job} cost?")
    do(context, lambda session, act: credits.refund(session, act, job), _in_short)


@click.command()
@click.argument("account")
@click.argument("amount", type=Credits())
@acts()
def expire(context: CommandContext, account: str, amount: int) -> None:
    """Take AMOUNT paid credits away from ACCOUNT (e-mail or id), which must have them."""
    ask(context, f"Take {in_words(amount)} credits from {account}?")
    do(context, lambda session, act: credits.expire(session, act, account, amount), _in_short)


@click.command()
@click.argument("account")
@pages
def history(paging: Paging, account: str) -> None:
    """The transfers of ACCOUNT (e-mail or id), the latest first."""
    found = query(lambda session: credits.history(session, account, limit=paging.limit, cursor=paging.cursor))
    output.page(found, "seq", "at", "src", "dst", "amount", "actor", "reason", in_json=paging.as_json)


def _in_short(moved: Moved) -> str:
    left = "unlimited use" if moved.total_remaining is None else f"{moved.total_remaining} credits"
    return f"{moved.code}: {moved.amount} credits; account {moved.account} has {left}"
