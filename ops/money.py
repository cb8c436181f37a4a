"""Credits and the ledger from the terminal: `credits grant`, `ledger audit`."""

import asyncio
import json
import os
import uuid
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import asyncpg
import rich_click as click

from db import ledger
from db.engine import Connection
from db.queries import query
from db.rows import MICRO
from ops.cli import failing_on
from ops.stack import settings_for_cli

T = TypeVar("T")
_CREDITS_MAX = 1_000_000_000
_KEYS = uuid.UUID("6f0f4b3c-6f3b-4c39-9a39-0f7f6d1c2b11")  # names idempotency keys among all UUIDs


class MoneyError(Exception):
    """The command cannot be carried out; nothing was moved."""


class Credits(click.ParamType[int]):
    """Credits as people write them, up to six decimals; gives micro-credits."""

    name = "credits"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            micro = Decimal(str(value)) * MICRO
        except InvalidOperation:
            self.fail(f"{value!r} is no number", param, ctx)
        if not micro.is_finite() or micro != int(micro):
            self.fail(f"{value} has more than six decimals", param, ctx)
        if not 0 < micro <= _CREDITS_MAX * MICRO:
            self.fail(f"must be above 0 and at most {_CREDITS_MAX:,} credits", param, ctx)
        return int(micro)


@click.command()
@click.argument("account")
@click.argument("amount", type=Credits())
@click.option("--reason", required=True, help="Why; kept in the ledger for good. No personal data.")
@click.option("--idempotency-key", help="The same key gives the credits once, however often it is sent.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def grant(
    account: str, amount: int, reason: str, idempotency_key: str | None, yes: bool, as_json: bool
) -> None:
    """Give ACCOUNT (e-mail or id) AMOUNT paid credits."""
    if not reason.strip() or len(reason) > 200:
        raise click.BadParameter("must have 1 to 200 characters", param_hint="--reason")
    if not yes:
        click.confirm(f"Give {account} {shown(amount)} credits?", abort=True, err=True)
    ref = uuid.uuid5(_KEYS, idempotency_key) if idempotency_key else uuid.uuid4()
    told = _with_record(lambda connection: _grant(connection, account, amount, reason.strip(), ref))
    if as_json:
        click.echo(json.dumps(told))
    else:
        click.echo(f"{told['code']}: {account} has {told['total_remaining']:g} credits")


async def _grant(
    connection: Connection, account: str, amount: int, reason: str, ref: uuid.UUID
) -> dict[str, Any]:
    owner = await connection.fetchval(query("find_account"), account)
    if owner is None:
        raise MoneyError(f"there is no account {account!r}")
    code = await ledger.grant(
        connection, owner, ref=ref, amount=amount, actor=f"cli:{os.getuid()}", reason=reason
    )
    if code not in ("granted", "replayed"):
        raise MoneyError(f"{account} cannot be given credits: {code}")
    now = await ledger.balance(connection, owner)
    assert now is not None
    return {
        "code": code,
        "account": str(owner),
        "amount": amount / MICRO,
        "free": now.free / MICRO,
        "paid": now.paid / MICRO,
        "held": now.held / MICRO,
        "total_remaining": (now.free + now.paid) / MICRO,
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def audit(as_json: bool) -> None:
    """Recompute every balance, check every link of the hash chain, every job against its credit, every guard.

    Exit status 0 only when nothing is wrong.
    """
    told = _with_record(_audit)
    if as_json:
        click.echo(json.dumps(told))
    else:
        for finding in told["findings"]:
            click.echo(f"{finding['what']}: {finding['id']}")
        click.echo("clean" if told["clean"] else f"{len(told['findings'])} defects")
    if not told["clean"]:
        raise SystemExit(1)


async def _audit(connection: Connection) -> dict[str, Any]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):  # one moment of all tables
        findings = await ledger.audit(connection)
        counts = await ledger.totals(connection)
    return {
        "clean": not findings,
        "wallets": counts["wallets"],
        "transfers": counts["transfers"],
        "credits": {bucket: counts[bucket] / MICRO for bucket in ("free", "paid", "held", "spent")},
        "findings": [{"what": found.what, "id": found.id, "detail": found.detail} for found in findings],
    }


def _with_record(work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` on a connection to the record; what cannot be done becomes a message and exit status 1."""

    async def run(url: str) -> T:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await work(connection)
        finally:
            await connection.close()

    with failing_on(MoneyError, OSError, asyncpg.PostgresError):
        return asyncio.run(run(settings_for_cli(os.environ).database_url))


def shown(micro: int) -> str:
    """Micro-credits as people read credits: 1.5, 60."""
    return f"{Decimal(micro) / MICRO:f}"
