"""Benchmarks: `codevoice bench NAME`, each against a limit or a peer of the same run."""

import asyncio
import json
import os
import uuid
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

import rich_click as click

from ops.cli import failing_on

if TYPE_CHECKING:
    from ops.stack.running import Stack

Figures = dict[str, float]
_PROCESSES_MAX = 4  # more would want more connections than the benchmark's Postgres has
_NAMES = (
    "api", "duplicates", "fairness", "hosts", "ledger", "listeners", "size", "soak", "speech", "stream",
    "stt", "voices", "wake", "xtts",
)  # fmt: skip


@click.command()
@click.argument("name", type=click.Choice(_NAMES))
@click.option("--voice", "voices", multiple=True, help="For voices: one to measure; again for another.")
@click.option(
    "--streams", type=click.IntRange(1, 2000), multiple=True, help="For listeners: so many at once."
)
@click.option("--processes", help="For api: numbers of API processes to compare, for example 1,2.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def bench(
    name: str, voices: tuple[str, ...], streams: tuple[int, ...], processes: str | None, as_json: bool
) -> None:
    """Measure against a limit or a peer of the same run.

    api: POST /v1/tts against pgbench calling the same function, and FastAPI peers; about five minutes. With
    --processes 1,2: two processes of the API against one.
    duplicates: 10,000 requests of 100 Idempotency-Keys at once, in a stack of its own: 100 jobs, 100 holds.
    fairness: a short job beside other accounts' long ones, in a stack of its own; ten minutes.
    hosts: two worker hosts against one, and one cut off in mid-job; each a network namespace: needs root.
    ledger: hold and post against Postgres's own one-row UPDATE, in a throwaway Postgres.
    listeners: first byte and gaps of many natural streams at once, in a stack of its own; ten minutes.
    size: a record of a million jobs and five million transfers against an empty one; ten minutes, 4 GB.
    soak: 64 streams at once for a minute, in a stack of its own: none mixed, each as stored, memory flat.
    speech: what the platform leaves of an engine's speed, and how long a job takes, in a stack of its own.
    stream: what the platform adds to an engine's first sound, in a stack of its own.
    stt: what the platform leaves of a recogniser's speed, in a stack of its own.
    voices: how the voices sound to machines, and what they cost; needs `just judges`; half an hour.
    wake: how long a job waits for an idle worker of the running stack, and what waiting costs in CPU.
    xtts: our decoding of XTTS against upstream's, on random weights of the real size; up to 20 minutes.
    """
    options = _options(name, voices=voices, streams=streams, processes=processes)
    with failing_on(BenchError):
        figures = _measure(name if processes is None else "scale", options)
    if as_json:
        click.echo(json.dumps({"bench": name, "figures": figures}))
    else:
        click.echo("\n".join(f"{figure} {value:g}" for figure, value in figures.items()))


def _options(
    name: str, *, voices: tuple[str, ...], streams: tuple[int, ...], processes: str | None
) -> dict[str, object]:
    if (
        (voices and name != "voices")
        or (streams and name != "listeners")
        or (processes is not None and name != "api")
    ):
        raise click.UsageError("--voice is for voices, --streams for listeners, --processes for api")
    if processes is not None:
        return {"processes": _counts(processes)}
    return {"chosen": voices} if voices else {"held": streams} if streams else {}


def _counts(text: str) -> list[int]:
    counts = [int(part) for part in text.split(",") if part.isascii() and part.isdigit()]
    if (
        len(counts) < 2
        or not all(1 <= count <= _PROCESSES_MAX for count in counts)
        or len(set(counts)) < len(counts)
    ):
        raise click.UsageError(
            f"--processes {text}: give two or more different numbers from 1 to {_PROCESSES_MAX}"
        )
    return counts


class BenchError(Exception):
    """The figures cannot be had; the message says why."""


def fund(stack: "Stack", *, credits: int) -> None:
    """Give the demo account what a benchmark will use, so that it can be run again and again."""
    import asyncpg

    from db.postgres.ledger import grant
    from db.postgres.queries import query
    from db.types import MICRO
    from ops.stack.prepare import DEMO_EMAIL

    async def give() -> None:
        connection = await asyncpg.connect(stack.database_url)
        try:
            owner = await connection.fetchval(query("find_account"), DEMO_EMAIL)
            amount = credits * MICRO
            await grant(connection, owner, ref=uuid.uuid4(), amount=amount, actor="bench", reason="benchmark")
        finally:
            await connection.close()

    asyncio.run(give())


def _measure(name: str, options: Mapping[str, object]) -> Figures:
    """What a benchmark needs is imported for it alone: `xtts` runs where there is no database's driver."""
    if name == "wake":  # the one that looks at the stack that runs
        from ops.bench.wake import wake
        from ops.stack.running import running_stack

        return wake(running_stack(os.environ))
    return getattr(import_module(f"ops.bench.{name}"), name)(**options)
