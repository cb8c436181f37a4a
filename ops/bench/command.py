"""`codevoice bench NAME`: measures against a limit or a peer of the same run."""

import json
import os
from collections.abc import Mapping
from importlib import import_module

import rich_click as click

from ops.bench import BenchError, Figures
from ops.cli import failing_on

_PROCESSES_MAX = 4  # more would need more connections than the benchmark's Postgres has
_NAMES = (
    "api", "duplicates", "fairness", "hosts", "ledger", "listeners", "size", "soak", "speech", "stream",
    "stt", "voices", "wake", "xtts",
)  # fmt: skip


@click.command()
@click.argument("name", type=click.Choice(_NAMES))
@click.option("--voice", "voices", multiple=True, help="For voices: a voice to measure; repeatable.")
@click.option(
    "--streams", type=click.IntRange(1, 2000), multiple=True, help="For listeners: streams at once."
)
@click.option("--processes", help="For api: numbers of API processes to compare, for example 1,2.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
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
    size: a database of a million jobs and five million transfers against an empty one; ten minutes, 4 GB.
    soak: 64 streams at once for a minute, in a stack of its own: none mixed, each as stored, memory flat.
    speech: what the platform leaves of an engine's speed, and how long a job takes, in a stack of its own.
    stream: what the platform adds to an engine's first sound, in a stack of its own.
    stt: what the platform leaves of a recogniser's speed, in a stack of its own.
    voices: quality scores and cost of the voices; needs `just judges`; half an hour.
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


def _measure(name: str, options: Mapping[str, object]) -> Figures:
    """Imports only what the named benchmark needs: `xtts` runs without a database driver installed."""
    if name == "wake":  # the only one that measures the running stack
        from ops.bench.wake import wake
        from ops.stack.running import running_stack

        return wake(running_stack(os.environ))
    return getattr(import_module(f"ops.bench.{name}"), name)(**options)
