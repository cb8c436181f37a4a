"""`python -m tests.fuzz N`: at least N cases against a stack of its own; exit status 0 if none failed."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from .calls import fuzz
from .stack import fuzzed

A_CALL = 50  # cases of random requests for each call, a round


def main(wanted: int) -> int:
    """Every coverage case once, then rounds of random requests and sequences, a fuzzer a core."""
    began, cases, failures = time.monotonic(), 0, list[str]()
    cores = os.cpu_count() or 1
    with (
        TemporaryDirectory() as folder,
        fuzzed(Path(folder)) as (stack, key),
        ThreadPoolExecutor(cores) as fuzzers,
    ):
        run = partial(fuzz, stack.url, key, "-n", str(A_CALL), "--phases")
        rounds = ["examples,coverage"]
        while cases < wanted:
            for found in fuzzers.map(run, rounds):
                cases, failures = cases + found.cases, [*failures, *found.failures]
                if found.failures:
                    print(found.output)
            rounds = ["fuzzing,stateful"] * cores
            print(f"{cases} cases, {len(failures)} failures, {time.monotonic() - began:.0f} s", flush=True)
        if not stack.audit_is_clean():
            failures.append("the ledger is not sound")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
