"""Two worker hosts on one database, each in its own network namespace: one is lost, and comes back."""

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ops.bench import fund
from ops.bench.harness.network import Host, host, lacking
from ops.bench.harness.paced_engine import SLOTS
from ops.bench.hosts import Site, crew, post, site, wait_for
from tests.clock import unhurried
from tests.conftest import Lack

LEASE_S = 3
QUICK = {"CODEVOICE_LEASE_S": str(LEASE_S), "CODEVOICE_SWEEP_S": "0.3"}


@pytest.fixture
def hosts(lack: Lack) -> Generator[tuple[Host, Host]]:
    """Left out where none can be made: that takes root, and a kernel that lets it."""
    if what := lacking():
        lack(what, may_be_absent=what != "ip")
    with host(1) as one, host(2) as other:
        yield one, other


@pytest.fixture
def made() -> Generator[Site]:
    with site() as one:
        fund(one.stack, credits=1000)
        yield one


def test_a_host_cut_off_in_mid_job_loses_no_job_and_no_credit(hosts: tuple[Host, Host], made: Site) -> None:
    with ExitStack() as closing:
        lost, other = (closing.enter_context(crew(made, at, **QUICK)) for at in hosts)
        database = closing.enter_context(made.record())
        paid = database.credits_spent()
        jobs = post(made, 3 * SLOTS)
        hosts[0].cut_off()
        theirs = database.held_by(lost.name())
        assert theirs
        wait_for(lambda: database.completed(theirs) == len(theirs), within_s=unhurried(LEASE_S + 2))
        hosts[0].reconnect()
        wait_for(lambda: lost.attempts("fenced") >= len(theirs) and database.completed(jobs) == len(jobs))
        wait_for(lambda: len(objects(made)) == len(jobs))  # what was made twice is deleted
        assert database.credits_spent() - paid == len(jobs)
        before_1, before_2 = lost.attempts("completed"), other.attempts("completed")
        more = post(made, 3 * SLOTS)
        wait_for(lambda: database.completed(more) == len(more))
    assert lost.attempts("completed") > before_1
    assert other.attempts("completed") > before_2


def objects(made: Site) -> list[Path]:
    return list((made.folder / "objects" / "jobs").rglob("*.wav"))
