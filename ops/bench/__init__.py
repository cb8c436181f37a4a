"""Benchmarks: `codevoice bench NAME`, each against a limit or a peer of the same run."""

import asyncio
import json
import os
import uuid
from collections.abc import Callable

import asyncpg
import rich_click as click

from db.ledger import grant
from db.queries import query
from db.rows import MICRO
from ops.cli import failing_on
from ops.local import DEMO_EMAIL
from ops.stack import Stack, running_stack

Figures = dict[str, float]


@click.command()
@click.argument("name", type=click.Choice(["ledger", "speech", "stream", "wake"]))
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def bench(name: str, as_json: bool) -> None:
    """Measure against a limit or a peer of the same run.

    ledger: hold and post against Postgres's own one-row UPDATE, in a throwaway Postgres.
    speech: what the platform leaves of an engine's speed, and how long a job takes, in a stack of its own.
    stream: what the platform adds to an engine's first sound, in a stack of its own.
    wake: how long a job waits for an idle worker of the running stack, and what waiting costs in CPU.
    """
    with failing_on(BenchError):
        figures = _benchmarks()[name]()
    if as_json:
        click.echo(json.dumps({"bench": name, "figures": figures}))
    else:
        click.echo("\n".join(f"{figure} {value:g}" for figure, value in figures.items()))


class BenchError(Exception):
    """The figures cannot be had; the message says why."""


def fund(stack: Stack, *, credits: int) -> None:
    """Give the demo account what a benchmark will use, so that it can be run again and again."""

    async def give() -> None:
        connection = await asyncpg.connect(stack.database_url)
        try:
            owner = await connection.fetchval(query("find_account"), DEMO_EMAIL)
            amount = credits * MICRO
            await grant(connection, owner, ref=uuid.uuid4(), amount=amount, actor="bench", reason="benchmark")
        finally:
            await connection.close()

    asyncio.run(give())


def _benchmarks() -> dict[str, Callable[[], Figures]]:
    from ops.bench.ledger import ledger_share
    from ops.bench.speech import speech
    from ops.bench.stream import stream
    from ops.bench.wake import wake

    return {
        "ledger": ledger_share,
        "speech": speech,
        "stream": stream,
        "wake": lambda: wake(running_stack(os.environ)),
    }
