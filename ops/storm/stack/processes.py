"""The storm's processes: started, killed, frozen, and restarted at once, for as long as the storm lasts.

From the main thread only, since each child is bound to the life of the thread that starts it.
"""

import os
import random
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

from ops.processes.program import Program, has_ended, kill_group, spawn

_PAUSE_S = (0.05, 0.4)  # between a death and the restart
_GONE_S_MAX = 10.0
_STOP_S_MAX = 8.0


class Processes:
    """The processes the storm has started; nothing else is ever affected."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._tended_at = time.monotonic()
        self.hindered_s = 0.0

    def start(self, program: Program) -> None:
        """Start it, and restart it whenever it ends."""
        self._kept[program.name] = _Kept(program)

    def pids(self) -> dict[str, int]:
        """Process ids of the running programs."""
        return {name: kept.process.pid for name, kept in self._kept.items() if kept.process}

    def is_up(self, name: str) -> bool:
        """Whether it is ready, as far as is known, and not frozen."""
        return self._kept[name].ready and not self._kept[name].thaw_at

    @property
    def own_deaths(self) -> int:
        """How many ended without having been killed."""
        return sum(kept.own_deaths for kept in self._kept.values())

    def tend(self) -> None:
        """Thaw, reap, restart, record readiness. Waits only for a killed Postgres's children."""
        self._note_hindered()
        for kept in self._kept.values():
            kept.tend()

    def _note_hindered(self) -> None:
        """`hindered_s` counts the time in which callers had to wait, whatever an API process does: one was
        frozen, and may have accepted the call before, or none was ready.
        """
        now = time.monotonic()
        apis = [kept for name, kept in self._kept.items() if name.startswith("api-")]
        if any(kept.thaw_at for kept in apis) or not any(kept.ready for kept in apis):
            self.hindered_s += now - self._tended_at
        self._tended_at = now

    def wait_up(self, *names: str, seconds: float, check: Callable[[], None] = lambda: None) -> None:
        """Return when these are up; raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not all(self.is_up(name) for name in names):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not up within {seconds:.0f} s: {', '.join(names)}")
            check()
            self.tend()
            time.sleep(0.02)

    def kill(self, name: str, *, clean: Callable[[], None] = lambda: None) -> None:
        """kill -9, with all its children; `clean` is called before the restart."""
        self._kept[name].kill(clean)

    def kill_child(self, name: str, pid: int) -> bool:
        """kill -9 one process below it; a pid elsewhere is ignored."""
        is_ours = pid in _family(self.pids().get(name, 0))[1:]
        if is_ours:
            _signal(pid, SIGKILL)
        return is_ours

    def freeze(self, name: str, seconds: float) -> None:
        """SIGSTOP, also to its children, and SIGCONT after so long."""
        self._kept[name].freeze(seconds)

    def thaw(self) -> None:
        """Resume all frozen processes."""
        for kept in self._kept.values():
            kept.thaw()

    def stop(self) -> None:
        """End all, the last started first."""
        for kept in reversed(self._kept.values()):
            kept.stop()
        self._kept.clear()


class _Kept:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.own_deaths = 0
        self.thaw_at = 0.0
        self._frozen: list[int] = []
        self.ready = False
        self._killed = False
        self._start_at = 0.0
        self.process: subprocess.Popen[bytes] | None = self._spawn()

    def tend(self) -> None:
        if self.thaw_at and time.monotonic() >= self.thaw_at:
            self.thaw()
        if self.process and has_ended(self.process):
            self._bury()
        elif not self.process and time.monotonic() >= self._start_at:
            self.process = self._spawn()
        elif self.process and not self.ready:
            self.ready = self.program.is_ready(self.process.pid)

    def kill(self, clean: Callable[[], None]) -> None:
        if self.process:
            self._killed = True
            _signal(self.process.pid, SIGSTOP)  # or it could start one more before the kill
            family = _family(self.process.pid)
            for pid in family:
                _signal(pid, SIGKILL)
            self._bury()
            _wait_gone(family)  # an orphan of Postgres's would hold the shared memory that the restart needs
            clean()

    def freeze(self, seconds: float) -> None:
        if self.process:
            self.thaw_at = time.monotonic() + seconds
            _signal(self.process.pid, SIGSTOP)  # first: it starts no more
            self._frozen = _family(self.process.pid)
            for pid in self._frozen:
                _signal(pid, SIGSTOP)

    def thaw(self) -> None:
        if self.thaw_at and self.process:
            for pid in self._frozen:
                _signal(pid, SIGCONT)
        self.thaw_at, self._frozen = 0.0, []

    def stop(self) -> None:
        self.thaw()
        if not self.process:
            return
        self.process.send_signal(self.program.stop_signal)
        deadline = time.monotonic() + _STOP_S_MAX
        while not has_ended(self.process) and time.monotonic() < deadline:
            time.sleep(0.02)
        family = _family(self.process.pid)
        for pid in family:
            _signal(pid, SIGKILL)
        kill_group(self.process)
        _wait_gone(family)

    def _bury(self) -> None:
        assert self.process
        kill_group(self.process)
        if not self._killed:
            self._note_death(self.process.returncode)
        self.process, self.ready, self._killed, self.thaw_at = None, False, False, 0.0
        self._start_at = time.monotonic() + random.uniform(*_PAUSE_S)

    def _note_death(self, code: int) -> None:
        """Appended beside the logs, which a restart begins anew."""
        self.own_deaths += 1
        if log := self.program.log:
            with log.with_name("deaths.txt").open("ab") as file:
                file.write(f"\n{self.program.name} ended ({code}):\n".encode() + log.read_bytes()[-2000:])

    def _spawn(self) -> "subprocess.Popen[bytes]":
        """Start with a log of this run only: its content shows readiness."""
        log = self.program.log
        if log and log.exists():
            log.replace(log.with_suffix(".log.1"))
        return spawn(self.program)


def _family(pid: int) -> list[int]:
    """A process and all below it: Postgres gives each of its children a session of its own."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def _wait_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + _GONE_S_MAX
    while any(_lives(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
