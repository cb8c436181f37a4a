"""All cells on one stack, many at once: what was not as it should be."""

import os
import signal
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier

import psycopg
from msgspec import Struct

from tests.app.api_process import GENEROUS
from tests.stack import Stack

from .cases import CELLS, OURS, Case, Cell, new_case
from .checks import Violation, booked, check_account, name
from .customer import Customer
from .driver import BEGIN_S, Driver, Outcome
from .engine import FOLDER, NAMES

Job = tuple[Customer, Case]
Result = Outcome | Violation
_AT_ONCE = 24
_KILLED_AT_ONCE = 60  # of the engine's 64 slots
_KILLS_APART_S = 13.0  # the supervisor gives up at six deaths in a minute
_JOBS_A_CUSTOMER = 40  # of the 60 credits each has
_OURS_A_CUSTOMER = 16  # fewer broken-off streams a day than are limited
_ENVIRON = GENEROUS | {
    "CODEVOICE_ENGINES": NAMES,
    "CODEVOICE_LEASE_S": "2",
    "CODEVOICE_TRIES_MAX": "2",
    "CODEVOICE_STREAMS_MAX": "1000",
    "CODEVOICE_ACCOUNT_STREAMS_MAX": "1000",
    "CODEVOICE_ADDRESS_STREAMS_MAX": "1000",
}
_EXPIRE = """UPDATE cv.job SET deadline = clock_timestamp()
  WHERE state = 'queued' AND params ->> 'text' LIKE %s"""


class Report(Struct, frozen=True):
    """Of one run. `cases`: jobs; `ledger_is_clean` by its audit."""

    each: int
    cells: int
    cases: int
    seconds: float
    ledger_is_clean: bool
    violations: Sequence[Violation]


class Harness:
    """A stack with scripted engines, and the folder through which they are commanded."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder / "commands"
        self.folder.mkdir()
        self.stack = Stack(folder / "home", **_ENVIRON, **{FOLDER: str(self.folder)}, **environ)
        self.owner_url: str = self.stack.env()["database_owner_url"]

    def run(self, each: int, cells: Sequence[Cell] = CELLS) -> Report:
        """Drive `each` cases of each cell, check all of them, and audit the ledger."""
        began = time.monotonic()
        jobs = self._assigned([new_case(cell, nth) for cell in cells for nth in range(each)])
        results: dict[Customer, list[Result]] = {}
        for customer, result in self._driven(jobs):
            results.setdefault(customer, []).append(result)
        ledger = booked(self.stack)
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            found = threads.map(lambda item: _checked(*item, ledger), results.items())
            violations = [violation for each_found in found for violation in each_found]
        return Report(
            each=each,
            cells=len(cells),
            cases=len(jobs),
            seconds=round(time.monotonic() - began, 1),
            ledger_is_clean=self.stack.audit_is_clean(),
            violations=violations,
        )

    def _assigned(self, cases: Sequence[Case]) -> list[Job]:
        """A dialect's cases in turn, to as many customers as have the credits for them."""
        groups: list[list[Case]] = []
        for dialect in dict.fromkeys(case.cell.dialect for case in cases):
            groups += _grouped([case for case in cases if case.cell.dialect == dialect])
        with ThreadPoolExecutor(4) as threads:
            customers = list(threads.map(lambda _: Customer(self.stack), groups))
        return [(customer, case) for customer, group in zip(customers, groups, strict=True) for case in group]

    def _driven(self, jobs: Sequence[Job]) -> list[tuple[Customer, Result]]:
        cut = [job for job in jobs if job[1].cell.ending == "cut"]
        others = [job for job in jobs if job[1].cell.ending != "cut"]
        with self._engine_kept_busy():
            results = self._at_once(others, _AT_ONCE)
        for n in range(0, len(cut), _KILLED_AT_ONCE):
            if n:
                time.sleep(_KILLS_APART_S)
            results += self._killed(cut[n : n + _KILLED_AT_ONCE])
        return results

    def _at_once(
        self, jobs: Sequence[Job], threads_max: int, killed: Barrier | None = None
    ) -> list[tuple[Customer, Result]]:
        driver = Driver(self.folder, self._expire, killed)
        with ThreadPoolExecutor(threads_max) as threads:
            return list(threads.map(lambda job: (job[0], _result(driver, *job)), jobs))

    def _killed(self, jobs: Sequence[Job]) -> list[tuple[Customer, Result]]:
        """Waits until all are begun and have given audio where they should; then kills their worker, once."""
        killed, pid = Barrier(len(jobs) + 1), self.stack.env()["pids"]["worker"]
        with ThreadPoolExecutor(1) as threads:
            driving = threads.submit(self._at_once, jobs, len(jobs), killed)
            killed.wait(2 * BEGIN_S)
            os.kill(pid, signal.SIGKILL)
            killed.wait(BEGIN_S)
            return driving.result()

    @contextmanager
    def _engine_kept_busy(self) -> Generator[None]:
        """For the block, jobs for the busy engine's voice stay queued."""
        customer, case = Customer(self.stack), new_case(Cell("codevoice", "expired", has_audio=False), 0)
        job = customer.queue(case.text, case.voice)
        Driver(self.folder, self._expire).begun(case)
        try:
            yield
        finally:
            customer.ask("DELETE", f"/v1/jobs/{job}")

    def _expire(self, case: Case) -> None:
        """Its deadline is now: with a short one for all, the clock would decide what else expires."""
        deadline = time.monotonic() + BEGIN_S
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            while not connection.execute(_EXPIRE, [f"{case.token} %"]).rowcount:
                assert time.monotonic() < deadline, f"never queued: {case}"
                time.sleep(0.02)


@contextmanager
def open_harness(folder: Path, **environ: str) -> Generator[Harness]:
    """For the block, a stack of its own in the folder."""
    opened = Harness(folder, **environ)
    try:
        yield opened
    finally:
        opened.stack.stop()


def _grouped(cases: Sequence[Case]) -> Iterator[list[Case]]:
    group: list[Case] = []
    for case in cases:
        ours = sum(each.cell.ending in OURS for each in group)
        if len(group) == _JOBS_A_CUSTOMER or (case.cell.ending in OURS and ours == _OURS_A_CUSTOMER):
            yield group
            group = []
        group.append(case)
    yield group


def _result(driver: Driver, customer: Customer, case: Case) -> Result:
    try:
        return driver.drive(customer, case)
    except (AssertionError, OSError) as error:  # the others go on
        driver.go(case)
        return Violation(name(case.cell), f"not brought about: {type(error).__name__} {error}"[:300])


def _checked(customer: Customer, results: Sequence[Result], ledger: dict[str, int]) -> list[Violation]:
    found = [result for result in results if isinstance(result, Violation)]
    outcomes = [result for result in results if isinstance(result, Outcome)]
    try:
        found += check_account(customer, outcomes, ledger)
    except AssertionError as error:
        found.append(Violation("an account as a whole", str(error)[:300]))
    return found
