"""Child processes that are kept running, stopped in order, and never outlive this process.

Linux only: each child is in a session of its own, so that a terminal's Ctrl-C reaches us alone, and asks
the kernel for a signal at our death, so that not even kill -9 leaves one behind. That request belongs to
the thread that starts the child: use a Supervisor from the main thread only.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ops.readiness import Readiness
from ops.signals import Signals

DEATHS_A_MINUTE_MAX = 5
BACKOFF_S_MAX = 30.0
RENEWAL_S_MAX = 120.0  # for a successor to be ready
LOG_BYTES_MAX = 10_000_000
_BACKOFF_S = 0.1  # after the first death in a while, doubled for each further one
_REMEMBERED_S = 60.0  # a death; where nobody gives up, each for longer than the longest pause
_POLL_S = 0.02
_TRIM_S = 60.0
_HURRIED_S = 0.3
_PR_SET_PDEATHSIG = 1


Renewed = Literal["never", "beside", "after"]  # when a successor starts: before the old one ends, or after


class Program(Struct, frozen=True, kw_only=True):
    """What to run, how to see that it serves, and how to end it."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path | None  # None: our own stderr
    is_ready: Callable[[int], bool]  # given its process id
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL  # when we die: nobody is left to insist
    grace_s: float = 2.0
    wave: int = 0  # those of one wave are stopped together, the highest wave first
    fds: tuple[int, ...] = ()  # inherited, under the same numbers
    before: Callable[[], None] = lambda: None  # each start
    gives_up: bool = True  # false: one that keeps dying is started again for ever, ever more slowly
    final: frozenset[int] = frozenset()  # exit statuses that starting again would not mend
    planned: frozenset[int] = frozenset()  # those that ask for it, at once
    tells_ready: bool = False  # by a line on the descriptor CODEVOICE_READY_FD
    renewed: Renewed = "never"
    leave_signal: signal.Signals = signal.SIGTERM  # tells one that is renewed to end in its own time
    leave_s: float = 0.0  # it has so long, then it is stopped


class Crashed(Exception):
    """A program does not stay up, or does not become ready; the message holds the end of its log."""


class Hopeless(Crashed):
    """A program ended with a status that says: do not start me again."""


class Supervisor:
    """Keeps programs running. `changed` hears the process ids by name, `report` a line for people."""

    def __init__(
        self,
        signals: Signals,
        *,
        changed: Callable[[dict[str, int]], None] = lambda _: None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._signals = signals
        self._changed = changed
        self._report = report
        self._children: dict[str, _Child] = {}
        self._leaving: list[_Child] = []

    def start(self, program: Program) -> None:
        """Start `program`, and again whenever it dies while this supervisor waits or watches."""
        self._children[program.name] = _Child(program)
        self._changed(self.pids())

    def pids(self) -> dict[str, int]:
        """Process ids of what runs now, by name."""
        return {name: child.process.pid for name, child in self._children.items() if child.process}

    def wait_ready(self, name: str, *, seconds: float) -> None:
        """Return when that program is ready; raises Crashed after `seconds`, Stop on a signal."""
        child = self._children[name]
        deadline = time.monotonic() + seconds
        while not child.is_ready():
            if time.monotonic() > deadline:
                raise Crashed(f"{name} was not ready within {seconds:.0f} s{_end_of(child.program.log)}")
            self._look()

    def watch(self) -> None:
        """Restart what dies, renew all when asked. A signal raises Stop; one that keeps dying, Crashed."""
        while True:
            self._signals.check()
            self.mend()
            if self._signals.renewal_asked:
                self._signals.renewal_asked = False
                self.renew()
            for child in self._children.values():
                trim(child.program.log)
            due = [child.restart_at for child in self._children.values() if not child.process]
            wait_s = min(due) - time.monotonic() if due else _TRIM_S
            self._signals.wait(max(0.0, wait_s))

    def renew(self) -> None:
        """Put a new process in the place of each that may be renewed, one after the other.

        Where a new one does not become ready the old one stays, those after it too, and that is reported.
        """
        for name, child in list(self._children.items()):
            if child.program.renewed == "never":
                continue
            renew = self._renew_beside if child.program.renewed == "beside" else self._renew_after
            if not renew(child):
                self._report(f"{name} was not ready within {RENEWAL_S_MAX:.0f} s: nothing more is renewed")
                return
            self._report(f"{name} is renewed")

    def _renew_beside(self, old: "_Child") -> bool:
        new, deadline = _Child(old.program), time.monotonic() + RENEWAL_S_MAX
        try:
            while not new.is_ready():
                if new.has_ended() or time.monotonic() > deadline:
                    new.kill()
                    return False
                self._look()
        except BaseException:
            new.kill()
            raise
        self._children[old.program.name] = new
        self._leaving.append(old)
        old.leave()
        self._changed(self.pids())
        return True

    def _renew_after(self, child: "_Child") -> bool:
        old, deadline = child.process, time.monotonic() + child.program.leave_s + RENEWAL_S_MAX
        child.leave()
        while child.process is old or not child.is_ready():
            if time.monotonic() > deadline:
                return False
            if child.process is old:
                child.hurry()
            self._look()
        return True

    def _look(self) -> None:
        """What is to be done while something is waited for."""
        self._signals.check()
        self.mend()
        self._signals.wait(_POLL_S)

    def stop(self) -> None:
        """End all programs, wave by wave, each within its grace; then kill what is left of it."""
        children = [child for child in (*reversed(self._children.values()), *self._leaving) if child.process]
        for wave in sorted({child.program.wave for child in children}, reverse=True):
            self._end([child for child in children if child.program.wave == wave])
        self._children.clear()
        self._leaving.clear()

    def mend(self) -> None:
        """Note who died, start whose time has come; raises Crashed for what keeps dying. Does not wait."""
        for child in self._children.values():
            if child.process and has_ended(child.process):
                self._report(child.bury())
                self._changed(self.pids())
            elif not child.process and time.monotonic() >= child.restart_at:
                child.restart()
                self._changed(self.pids())
        for child in self._leaving:
            child.hurry()
        self._leaving = [child for child in self._leaving if not child.is_gone()]

    def _end(self, children: "list[_Child]") -> None:
        asked_at = time.monotonic()
        for child in children:
            child.send(child.program.stop_signal)
        while children:
            ended_s = time.monotonic() - asked_at
            hurried = self._signals.asked > 1
            for child in [c for c in children if c.is_done(ended_s, hurried=hurried)]:
                child.kill()
                children.remove(child)
            self._signals.wait(_POLL_S if children else 0)


class _Child:
    """One program and the process that runs it now, if any."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.restart_at = 0.0
        self._deaths: list[float] = []
        self._left_at = 0.0
        self._ready = Readiness()
        self.process: subprocess.Popen[bytes] | None = None
        self.restart()

    def restart(self) -> None:
        if not self.program.tells_ready:
            self.process = spawn(self.program)
            return
        self._ready.close()
        self._ready = Readiness()
        with self._ready.telling() as fd:
            env = {**self.program.env, "CODEVOICE_READY_FD": str(fd)}
            told = msgspec.structs.replace(self.program, env=env, fds=(*self.program.fds, fd))
            self.process = spawn(told)

    def is_ready(self) -> bool:
        told = self._ready.is_told() or not self.program.tells_ready
        return bool(told and self.process and self.program.is_ready(self.process.pid))

    def has_ended(self) -> bool:
        return self.process is None or has_ended(self.process)

    def leave(self) -> None:
        """End, in your own time."""
        self._left_at = time.monotonic()
        self.send(self.program.leave_signal)

    def hurry(self) -> None:
        """Insist where one that is to leave takes too long."""
        late_s = time.monotonic() - self._left_at - self.program.leave_s
        if late_s > self.program.grace_s:
            self.kill()
        elif late_s > 0:
            self.send(self.program.stop_signal)

    def is_gone(self) -> bool:
        """Whether it has ended, with all it started."""
        if not self.has_ended():
            return False
        self.kill()
        return True

    def send(self, number: signal.Signals) -> None:
        if self.process:
            self.process.send_signal(number)

    def is_done(self, waited_s: float, *, hurried: bool) -> bool:
        """It has ended, or had time enough to."""
        grace_s = min(self.program.grace_s, _HURRIED_S) if hurried else self.program.grace_s
        return not self.process or waited_s > grace_s or has_ended(self.process)

    def kill(self) -> None:
        self._ready.close()
        if self.process:
            kill_group(self.process)

    def bury(self) -> str:
        """Note the death, plan the restart; a line about it. Raises Crashed where there is to be none."""
        assert self.process
        kill_group(self.process)  # children of its own would hold its ports and its work
        code, self.process = self.process.returncode, None
        program, see = self.program, f"; see {self.program.log}" if self.program.log else ""
        if code in program.final:
            raise Hopeless(f"{program.name} cannot run ({_how(code)}){_end_of(program.log)}")
        if code in program.planned:
            self.restart_at = time.monotonic()
            return f"{program.name} asked to be started again ({_how(code)})"
        died = f"{program.name} died ({_how(code)})"
        pause_s = self._pause_s()
        if program.gives_up and len(self._deaths) > DEATHS_A_MINUTE_MAX:
            raise Crashed(f"{died} {len(self._deaths)} times in a minute{_end_of(program.log)}")
        self.restart_at = time.monotonic() + pause_s
        return f"{died}: starting it again in {pause_s:.1f} s{see}"

    def _pause_s(self) -> float:
        """Count this death among the recent ones; how long to wait after it."""
        now = time.monotonic()
        remembered_s = _REMEMBERED_S if self.program.gives_up else 10 * _REMEMBERED_S
        self._deaths = [t for t in self._deaths if now - t < remembered_s] + [now]
        return min(BACKOFF_S_MAX, _BACKOFF_S * 2 ** (len(self._deaths) - 1))


def spawn(program: Program) -> "subprocess.Popen[bytes]":
    """Start `program` in a session of its own, its output appended to its log, bound to our life."""
    program.before()
    trim(program.log)
    with program.log.open("ab") if program.log else nullcontext() as log:
        return subprocess.Popen(
            program.argv,
            env=dict(program.env),
            cwd="/",  # the one folder every account can be in
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=program.fds,
            preexec_fn=die_with_us(program.death_signal),
        )


def die_with_us(number: signal.Signals) -> Callable[[], None]:
    """To be called in a new child: it gets signal `number` when this thread ends, however that happens."""
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # died before we asked
            os._exit(1)

    return ask_kernel


def has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Whether it ended; leaves its process id taken, so that its group can still be killed safely."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of the process and of all it started in its session; collect it."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def trim(log: Path | None) -> None:
    """Move a log over LOG_BYTES_MAX aside, over the last one; its writers, who append, go on at 0."""
    if log and log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)


def _how(code: int) -> str:
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name


def _end_of(log: Path | None, lines: int = 12) -> str:
    if log is None:
        return ""
    text = log.read_bytes()[-8000:].decode(errors="replace") if log.exists() else ""
    return f"; the end of {log}:\n" + "\n".join(text.splitlines()[-lines:])
