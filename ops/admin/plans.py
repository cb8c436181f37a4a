"""`codevoice plans …`: list plans, set an account's plan."""

import rich_click as click

from app.domain.admin import plans
from ops.admin import output
from ops.admin.accounts import in_short
from ops.admin.execution import ask, do, query
from ops.admin.options import CommandContext, acts, json_option


@click.command()
@json_option
def list_(as_json: bool) -> None:
    """List every plan, with its credits per month."""
    found = query(plans.list_plans)
    if as_json:
        output.as_json({"items": found})
    else:
        output.table(found, "tier", "name", "monthly")


@click.command("set")
@click.argument("account")
@click.argument("plan")
@acts()
def set_(context: CommandContext, account: str, plan: str) -> None:
    """Put ACCOUNT (e-mail or id) on PLAN (name or tier): more credits at once, fewer from next month."""
    ask(context, f"Put {account} on plan {plan}?")
    do(context, lambda session, act: plans.set_plan(session, act, account, plan), in_short)
