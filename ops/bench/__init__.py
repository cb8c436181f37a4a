"""Benchmarks: `codevoice bench NAME`, each against a limit or a peer of the same run."""

import asyncio
import json
import os
import uuid
from importlib import import_module
from typing import TYPE_CHECKING

import rich_click as click

from ops.cli import failing_on

if TYPE_CHECKING:
    from ops.stack import Stack

Figures = dict[str, float]
_NAMES = ("api", "duplicates", "hosts", "ledger", "size", "soak", "speech", "stream", "stt", "wake", "xtts")


@click.command()
@click.argument("name", type=click.Choice(_NAMES))
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def bench(name: str, as_json: bool) -> None:
    """Measure against a limit or a peer of the same run.

    api: POST /v1/tts against pgbench calling the same function, and FastAPI peers; about five minutes.
    duplicates: 10,000 requests of 100 Idempotency-Keys at once, in a stack of its own: 100 jobs, 100 holds.
    hosts: two worker hosts against one, and one cut off in mid-job; each a network namespace: needs root.
    ledger: hold and post against Postgres's own one-row UPDATE, in a throwaway Postgres.
    size: a record of a million jobs and five million transfers against an empty one; ten minutes, 4 GB.
    soak: 64 streams at once for a minute, in a stack of its own: none mixed, each as stored, memory flat.
    speech: what the platform leaves of an engine's speed, and how long a job takes, in a stack of its own.
    stream: what the platform adds to an engine's first sound, in a stack of its own.
    stt: what the platform leaves of a recogniser's speed, in a stack of its own.
    wake: how long a job waits for an idle worker of the running stack, and what waiting costs in CPU.
    xtts: our decoding of XTTS against upstream's, on random weights of the real size; up to 20 minutes.
    """
    with failing_on(BenchError):
        figures = _measure(name)
    if as_json:
        click.echo(json.dumps({"bench": name, "figures": figures}))
    else:
        click.echo("\n".join(f"{figure} {value:g}" for figure, value in figures.items()))


class BenchError(Exception):
    """The figures cannot be had; the message says why."""


def fund(stack: "Stack", *, credits: int) -> None:
    """Give the demo account what a benchmark will use, so that it can be run again and again."""
    import asyncpg

    from db.ledger import grant
    from db.queries import query
    from db.rows import MICRO
    from ops.local import DEMO_EMAIL

    async def give() -> None:
        connection = await asyncpg.connect(stack.database_url)
        try:
            owner = await connection.fetchval(query("find_account"), DEMO_EMAIL)
            amount = credits * MICRO
            await grant(connection, owner, ref=uuid.uuid4(), amount=amount, actor="bench", reason="benchmark")
        finally:
            await connection.close()

    asyncio.run(give())


def _measure(name: str) -> Figures:
    """What a benchmark needs is imported for it alone: `xtts` runs where there is no database's driver."""
    if name == "wake":  # the one that looks at the stack that runs
        from ops.bench.wake import wake
        from ops.stack import running_stack

        return wake(running_stack(os.environ))
    return getattr(import_module(f"ops.bench.{name}"), name)()
