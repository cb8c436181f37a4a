"""`codevoice bench size`, a little of it: every figure, no error, a sound ledger; speed is no test."""

import pytest

from ops.bench import BenchError
from ops.bench.size import size

KINDS = {"post", "claim", "status", "dashboard", "jobs", "usage"}


def test_a_small_run_fills_both_records_and_has_every_ratio() -> None:
    figures = size(jobs=12_000, rounds=1, turn_s=0.1)

    assert (figures["jobs"], figures["transfers"]) == (12_000, 61_000)  # and each account's monthly credits
    assert {kind for kind in KINDS if not figures.get(f"{kind}_ratio", 0) > 0} == set()
    assert (figures["defects"], figures["rounds"]) == (0, 1)


def test_a_disk_that_is_too_small_is_reported_before_anything_starts() -> None:
    with pytest.raises(BenchError, match="jobs need"):
        size(jobs=10**12)
