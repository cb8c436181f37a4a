"""The same requests sent repeatedly, all at once: each Idempotency-Key makes one job and one hold.

`jobs` and `holds`: what the database has more than before. `answers`: distinct responses; more than `keys`
would mean that a caller got two different ones. `replayed` + `keys` = `requests` if nothing was refused. The
ledger is audited.
"""

import asyncio
import random
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import asyncpg

from db.postgres import ledger
from ops.bench import BenchError, Figures, fund
from ops.bench.harness.own_stack import own_stack
from ops.bench.harness.posting import Poster, ready
from ops.stack.running import Stack

_HOLDS = "SELECT count(DISTINCT ref) FROM cv.transfer WHERE slot BETWEEN 10 AND 12"
_KEYS, _COPIES, _CLIENTS = 100, 100, 200


def duplicates() -> Figures:
    """10,000 requests of 100 keys, by 200 clients, in a stack of the benchmark's own. Raises BenchError."""
    with own_stack(engines="espeak") as stack:
        ready(stack, "espeak-ryan")
        return duplicates_in(stack, keys=_KEYS, copies=_COPIES, clients=_CLIENTS)


def duplicates_in(stack: Stack, *, keys: int, copies: int, clients: int) -> Figures:
    """Send `copies` of each of `keys` requests in random order, from `clients` clients at once."""
    fund(stack, credits=keys)
    run = uuid.uuid4().hex
    wanted = [f"{run}-{key}" for key in range(keys) for _ in range(copies)]
    random.shuffle(wanted)
    before, began = asyncio.run(_counts(stack)), time.monotonic()
    with ThreadPoolExecutor(clients) as threads:
        parts = list(threads.map(partial(_send, stack), (wanted[n::clients] for n in range(clients))))
    seconds, after = time.monotonic() - began, asyncio.run(_counts(stack))
    answers = {answer for part in parts for answer in part[0]}
    figures: Figures = {
        "requests": len(wanted),
        "keys": keys,
        "answers": len(answers),
        "replayed": sum(part[1] for part in parts),
        "jobs": after[0] - before[0],
        "holds": after[1] - before[1],
        "requests_per_s": len(wanted) / seconds,
        "defects": after[2],
    }
    if not figures["answers"] == figures["jobs"] == figures["holds"] == keys or figures["defects"]:
        raise BenchError(f"a key made more than one job, or the audit found a defect: {figures}")
    return figures


def _send(stack: Stack, keys: list[str]) -> tuple[set[tuple[str, str]], int]:
    """The (key, response) pairs, and how many responses were marked as replayed."""
    answers, replayed = set[tuple[str, str]](), 0
    with Poster(stack) as poster:
        for key in keys:
            job, was_replayed = poster.post_keyed("The same again.", "espeak-ryan", key)
            answers.add((key, job))
            replayed += was_replayed
    return answers, replayed


async def _counts(stack: Stack) -> tuple[int, int, int]:
    """Jobs, holds and defects in the whole database."""
    connection = await asyncpg.connect(stack.database_url)
    try:
        return (
            await connection.fetchval("SELECT count(*) FROM cv.job"),
            await connection.fetchval(_HOLDS),
            len(await ledger.audit(connection)),
        )
    finally:
        await connection.close()
