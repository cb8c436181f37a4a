"""`codevoice plans …`: which there are, and who has which."""

import rich_click as click

from app.domain.admin import plans
from ops.admin import output
from ops.admin.accounts import in_short
from ops.admin.execution import ask, do, look
from ops.admin.options import CommandContext, acts, json_option


@click.command()
@json_option
def list_(as_json: bool) -> None:
    """Every plan, with its credits a month."""
    found = look(plans.list_plans)
    if as_json:
        output.as_json({"items": found})
    else:
        output.table(found, "tier", "name", "monthly")


@click.command("set")
@click.argument("account")
@click.argument("plan")
@acts()
def set_(doing: CommandContext, account: str, plan: str) -> None:
    """Put ACCOUNT (e-mail or id) on PLAN (name or tier): up with the difference now, down from next month."""
    ask(doing, f"Put {account} on plan {plan}?")
    do(doing, lambda connection, act: plans.set_plan(connection, act, account, plan), in_short)
