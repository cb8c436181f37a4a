"""One run of a storm: start or resume, cause faults under load, calm down, and check the histories."""

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psycopg
from msgspec import Struct

from db.postgres import ledger
from ops.processes.listener import listening
from ops.processes.signals import Signals
from ops.stack.home import Home, held, is_held
from ops.storm import checker, client_history, faults, history, record
from ops.storm.accounts import accounts
from ops.storm.faults import Faults
from ops.storm.history import History
from ops.storm.lateness import PLAIN_S, SPEECH_S, Lateness
from ops.storm.load import Load
from ops.storm.model import Violation
from ops.storm.stack.processes import Processes
from ops.storm.stack.stack import APIS, WORKERS, StormStack, bring_store_back

_BYTES_AN_ACK = 16_000  # on disk: its rows, their indexes and log, its audio, its lines of history
_BYTES_SPARE = 3_000_000_000
_TICK_S = 0.02
_REPORT_S = 10.0
_SHOWN = 3  # violations of a kind


class StormError(Exception):
    """The storm cannot run, or did not calm down; the message gives the reason."""


class Goals(Struct, frozen=True, kw_only=True):
    """When the storm ends: all of these are reached, or the time is up."""

    seconds: float
    acks: int
    process_kills: int
    postgres_kills: int
    redis_flushes: int
    calm_s: float  # maximum time for the last jobs to end
    faults: tuple[str, ...] = ()  # only these; none named: all


class Verdict(Struct, frozen=True, kw_only=True):
    """The result of a storm."""

    figures: dict[str, float]
    violations: list[Violation]  # a few of each kind
    left_out: dict[str, str]  # faults that this machine does not allow, and what they need


Report = Callable[[str], None]


def storm(folder: Path, goals: Goals, report: Report) -> Verdict:
    """Run in `folder`, resuming an earlier run in it. Raises StormError, Stop on a signal."""
    _check_disk(folder, goals.acks)
    home = Home(folder=folder / "home")
    if not is_held(home):
        bring_store_back(home)
    with Signals() as signals, held(home), listening({"CODEVOICE_PORT": "0"}) as listener:
        processes = Processes()
        stack = StormStack(home, listener, processes)
        life = _Life(folder, goals, report, signals, processes, stack)
        try:
            stack.start(signals.check)
            life.rage()
            life.calm()
            return life.judge()
        except TimeoutError as error:
            raise StormError(f"{error}; logs are in {home.folder / 'logs'}") from None
        finally:
            processes.stop()
            bring_store_back(home)
            home.stack_file.unlink(missing_ok=True)


class _Life:
    def __init__(
        self,
        folder: Path,
        goals: Goals,
        report: Report,
        signals: Signals,
        processes: Processes,
        stack: StormStack,
    ) -> None:
        self._folder = folder
        self._goals = goals
        self._report = report
        self._signals = signals
        self._processes = processes
        self._stack = stack
        earlier = Counter(
            "acks" if event.kind == "ok" else event.op
            for event in history.read(folder)
            if event.kind == "fault" or (event.kind == "ok" and event.op == "submit" and not event.replayed)
        )
        self._acks_before = earlier.pop("acks", 0)
        self._history = History(folder)
        self._lateness = Lateness(self._history, lambda: processes.hindered_s)
        self._faults = Faults(stack, processes, self._history, earlier, goals.faults)

    def rage(self) -> None:
        """Load and faults together, until the goals are reached or the time is up."""
        url, signals = self._stack.addresses.url, self._signals
        callers = accounts(self._folder, self._folder / "home", url)
        load = Load(url, callers, self._history, f"{self._history.next:x}", self._lateness)
        load.start()
        began = reported = time.monotonic()
        try:
            while not self._is_enough(load) and time.monotonic() - began < self._goals.seconds:
                signals.check()
                self._processes.tend()
                self._faults.tend(load.acks)
                if not load.is_alive():
                    raise StormError("the storm's own clients broke down")
                if time.monotonic() - reported > _REPORT_S:
                    reported = time.monotonic()
                    _check_disk(self._folder, 0)
                    self._report_progress(load, reported - began)
                time.sleep(_TICK_S)
        finally:
            self._faults.end()
            self._acks = self._acks_before + load.acks
        self._seconds = time.monotonic() - began
        self._while_mending(load.stop)

    def calm(self) -> None:
        """Return when every job has ended."""
        self._report("calming down")
        deadline = time.monotonic() + self._goals.calm_s
        self._processes.wait_up("postgres", "valkey", *APIS, *WORKERS, seconds=60, check=self._signals.check)
        while (left := self._open_jobs()) and time.monotonic() < deadline:
            self._signals.check()
            self._processes.tend()
            time.sleep(0.2)
        if left:
            self._report(f"{left} jobs did not end within {self._goals.calm_s:.0f} s")

    def judge(self) -> Verdict:
        """Replay everything and compare."""
        self._report("judging")
        urls = self._stack.addresses
        self._history.close()
        found = checker.check(
            client_history.gather(history.read(self._folder)),
            kept := record.read(urls.database_url),
            self._folder / "home" / "objects",
        )
        defects = asyncio.run(_defects(urls.database_url))
        found += [Violation(f"audit: {defect}", "") for defect in defects]
        return Verdict(
            figures=self._figures(kept, len(found), len(defects)),
            violations=_first(found),
            left_out=self._faults.left_out,
        )

    def _figures(self, kept: record.Record, violations: int, defects: int) -> dict[str, float]:
        counts, goals = self._counts(), self._goals
        reached = self._acks >= goals.acks and all(counts[name] >= getattr(goals, name) for name in counts)
        ends = Counter(job.state for job in kept.jobs.values())
        return {
            "violations": violations,
            "defects": defects,
            "acks": self._acks,
            **counts,
            "goals_reached": int(reached),
            "seconds": round(self._seconds, 1),
            "jobs": len(kept.jobs),
            **{f"jobs_{state}": n for state, n in sorted(ends.items())},
            "transfers": len(kept.transfers),
            "history_lines": self._history.next - 1,
            "slowest_answer_ms": round(1000 * self._lateness.slowest_s[PLAIN_S]),
            "slowest_speech_ms": round(1000 * self._lateness.slowest_s[SPEECH_S]),
            "hindered_s": round(self._processes.hindered_s, 1),
            "own_deaths": self._processes.own_deaths,
            **{f"fault_{name}": n for name, n in sorted(self._faults.counts.items())},
        }

    def _counts(self) -> dict[str, int]:
        counts = self._faults.counts
        return {
            "process_kills": sum(counts[name] for name in faults.PROCESS_KILLS),
            "postgres_kills": counts["kill_postgres"],
            "redis_flushes": sum(counts[name] for name in faults.FLUSHES),
        }

    def _is_enough(self, load: Load) -> bool:
        if self._acks_before + load.acks < self._goals.acks:
            return False
        return all(n >= getattr(self._goals, name) for name, n in self._counts().items())

    def _report_progress(self, load: Load, seconds: float) -> None:
        counts = ", ".join(f"{name} {n}" for name, n in self._counts().items())
        self._report(f"{seconds:.0f} s: acks {self._acks_before + load.acks}, {counts}")

    def _while_mending(self, act: Callable[[], None]) -> None:
        """Let the clients finish what they have begun, while the stack recovers."""
        from threading import Thread

        waiting = Thread(target=act, daemon=True)
        waiting.start()
        while waiting.is_alive():
            self._processes.tend()
            time.sleep(_TICK_S)

    def _open_jobs(self) -> int:
        try:
            return record.open_jobs(self._stack.addresses.database_url)
        except psycopg.Error:
            return 1


def _first(found: list[Violation]) -> list[Violation]:
    """A few of each kind."""
    seen, shown = Counter[str](), list[Violation]()
    for violation in found:
        seen[violation.what] += 1
        if seen[violation.what] <= _SHOWN:
            shown.append(violation)
    return shown


async def _defects(url: str) -> list[str]:
    """What the ledger's own audit finds."""
    connection = await asyncpg.connect(url)
    try:
        return [finding.what for finding in await ledger.audit(connection)]
    finally:
        await connection.close()


def _check_disk(folder: Path, acks: int) -> None:
    free, needed = shutil.disk_usage(folder).free, _BYTES_SPARE + acks * _BYTES_AN_ACK
    if free < needed:
        raise StormError(f"{folder} has {free >> 20} MB free; this storm needs {needed >> 20} MB")
