"""`codevoice ledger …`: audit, checkpoint, heads, export."""

import csv
import sys
from collections.abc import AsyncGenerator, Callable
from typing import Any, Literal, TextIO

import msgspec
import rich_click as click
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.csv_cells import escape_formula
from app.domain.admin import ledger
from app.domain.admin.ledger import Exported, Head
from ops.admin import output
from ops.admin.execution import query, write
from ops.admin.options import json_option


@click.command()
@click.option(
    "--heads", "kept", type=click.File(), help="Also check whether the ledger still has these heads."
)
@click.option(
    "--since-checkpoint",
    is_flag=True,
    help="Faster: only what came after `ledger checkpoint`. Older entries are not checked for changes.",
)
@json_option
def audit(kept: TextIO | None, since_checkpoint: bool, as_json: bool) -> None:
    """Recompute every balance; check every link of the hash chain, every job against its credit, every guard.

    The exit status is 0 only if nothing is wrong.
    """
    before = _heads(kept) if kept else []
    found = query(lambda session: ledger.audit(session, before, since_checkpoint=since_checkpoint))
    if as_json:
        output.as_json(found)
    else:
        for finding in found.findings:
            click.echo(f"{finding.what}: {finding.id}")
        click.echo("clean" if found.clean else f"{len(found.findings)} defects")
    if not found.clean:
        raise SystemExit(1)


@click.command()
@json_option
def checkpoint(as_json: bool) -> None:
    """Record every wallet found correct, so that `ledger audit --since-checkpoint` can start from there.

    The exit status is 0 only if nothing is wrong.
    """
    found = query(lambda session: ledger.audit(session, since_checkpoint=True))
    if not found.clean:
        raise click.ClickException("the audit since the last checkpoint finds defects: see `ledger audit`")
    written = write(ledger.checkpoint)
    if as_json:
        output.as_json(written)
    else:
        click.echo(f"{written.wallets} wallets written down")


@click.command()
@json_option
def heads(as_json: bool) -> None:  # noqa: ARG001
    """Print the last transfer of every wallet as JSON lines: owner, seq, hash. Keep them elsewhere."""
    for head in query(ledger.heads):
        output.as_json(head)


@click.command()
@click.argument("account", required=False)
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@json_option
def export(account: str | None, form: Literal["jsonl", "csv"], as_json: bool) -> None:
    """Export every transfer, of ACCOUNT (e-mail or id) or of all, in micro-credits, by owner and sequence."""
    put = output.as_json if as_json or form == "jsonl" else _csv()

    async def each(session: AsyncSession) -> None:
        rows: AsyncGenerator[Exported] = ledger.export(session, account)
        async for row in rows:
            put(row)

    query(each)


def _csv() -> Callable[[Any], None]:
    out = csv.writer(sys.stdout)
    out.writerow(Exported.__struct_fields__)
    return lambda row: out.writerow([_plain(value) for value in msgspec.structs.astuple(row)])


def _plain(value: Any) -> str:
    """A cell that no spreadsheet interprets as a formula."""
    return str(escape_formula(value.isoformat() if hasattr(value, "isoformat") else str(value)))


def _heads(kept: TextIO) -> list[Head]:
    found: list[Head] = []
    for number, line in enumerate(kept, 1):
        try:
            found.append(msgspec.json.decode(line, type=Head))
            bytes.fromhex(found[-1].hash)
        except (msgspec.DecodeError, ValueError) as error:
            raise click.UsageError(f"{kept.name}, line {number}, is no head: {error}") from None
    return found
