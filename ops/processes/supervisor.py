"""Child processes that are kept running, stopped in order, and never outlive this process.

Linux only: each child is in a session of its own, so that a terminal's Ctrl-C reaches only this process, and
requests a signal at our death from the kernel, so that even kill -9 leaves none behind. That request belongs
to the thread that starts the child: use a Supervisor from the main thread only.
"""

import math
import signal
import subprocess
import time
from collections.abc import Callable

import msgspec

from ops.processes.program import Program, end_of, has_ended, how, kill_group, spawn, tail, trim
from ops.processes.readiness import Readiness
from ops.processes.signals import Signals

DEATHS_A_MINUTE_MAX = 5
BACKOFF_S_MAX = 10.0
RENEWAL_S_MAX = 120.0  # for a successor to become ready
_BACKOFF_S = 0.1  # after the first death in a while, doubled for each further one
_REMEMBERED_S = 60.0  # how long a death counts; for programs never given up, longer than the longest pause
_POLL_S = 0.02
_TRIM_S = 60.0
_HURRIED_S = 0.3


class Crashed(Exception):
    """A program does not stay up, or does not become ready; the message has the end of its log."""


class Hopeless(Crashed):
    """A program ended with a status that means: do not restart."""


class Supervisor:
    """Keeps programs running. `changed` gets the process ids by name, `report` a line of text."""

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
        """Start `program`, and restart it whenever it dies while this supervisor waits or watches."""
        self._children[program.name] = _Child(program)
        self._changed(self.pids())

    def pids(self) -> dict[str, int]:
        """Process ids of the running programs, by name."""
        return {name: child.process.pid for name, child in self._children.items() if child.process}

    def wait_ready(self, name: str, *, seconds: float) -> bool:
        """Return when that program is ready; raises Crashed after `seconds`, Stop on a signal.

        False: an optional program is not ready, which was reported.
        """
        child = self._children[name]
        deadline = time.monotonic() + seconds
        while not child.is_ready():
            if child.is_over():
                return False
            if time.monotonic() > deadline:
                late = f"{name} was not ready within {seconds:.0f} s"
                if not child.program.optional:
                    raise Crashed(f"{late}{end_of(child.program.log)}")
                self._report(f"{late}: going on without it")
                return False
            self._poll()
        return True

    def watch(self) -> None:
        """Restart what dies, renew all when requested. A signal raises Stop.

        A program that keeps dying without having been ready raises Crashed, if it gives up.
        """
        while True:
            self._signals.check()
            self.mend()
            if self._signals.renewal_requested:
                self._signals.renewal_requested = False
                self.renew()
            for child in self._children.values():
                trim(child.program.log)
            due = [child.restart_at for child in self._children.values() if not child.process]
            wait_s = min([*due, time.monotonic() + _TRIM_S]) - time.monotonic()
            self._signals.wait(max(0.0, wait_s))

    def renew(self) -> None:
        """Replace the process of each renewable program, one after the other.

        If a new one does not become ready, the old one stays, and so do those after it; that is reported.
        """
        for name, child in list(self._children.items()):
            if child.program.renewed == "never":
                continue
            if child.program.optional and not child.has_served():
                child.try_again()
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
                self._poll()
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
            self._poll()
        return True

    def _poll(self) -> None:
        """What must be done during any wait."""
        self._signals.check()
        self.mend()
        self._signals.wait(_POLL_S)

    def stop(self) -> None:
        """End all programs, wave by wave, each within its grace period; then kill what is left."""
        children = [child for child in (*reversed(self._children.values()), *self._leaving) if child.process]
        for wave in sorted({child.program.wave for child in children}, reverse=True):
            self._end([child for child in children if child.program.wave == wave])
        self._children.clear()
        self._leaving.clear()

    def mend(self) -> None:
        """Record deaths, start what is due; raises Crashed for a program that keeps dying. Does not wait."""
        for child in self._children.values():
            if child.process and has_ended(child.process):
                if line := child.bury():
                    self._report(line)
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
            hurried = self._signals.stop_requests > 1
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
        self._was_ready = False
        self._ready = Readiness()
        self.process: subprocess.Popen[bytes] | None = None
        self.restart()

    def restart(self) -> None:
        if not self.program.notifies_ready:
            self.process = spawn(self.program)
            return
        self._ready.close()
        self._ready = Readiness()
        with self._ready.child_end() as fd:
            env = {**self.program.env, "CODEVOICE_READY_FD": str(fd)}
            program = msgspec.structs.replace(self.program, env=env, fds=(*self.program.fds, fd))
            self.process = spawn(program)

    def is_ready(self) -> bool:
        is_notified = self._ready.is_notified() or not self.program.notifies_ready
        is_ready = bool(is_notified and self.process and self.program.is_ready(self.process.pid))
        self._was_ready = self._was_ready or is_ready
        return is_ready

    def has_served(self) -> bool:
        """Whether the current process has reported readiness."""
        return self._ready.is_notified() and self.process is not None

    def has_ended(self) -> bool:
        return self.process is None or has_ended(self.process)

    def is_over(self) -> bool:
        """Whether it has ended and is not to be restarted."""
        return self.process is None and self.restart_at == math.inf

    def try_again(self) -> None:
        """Start a new process if this one has not become ready."""
        if self.process:
            self.leave()
        else:
            self.restart_at = time.monotonic()

    def leave(self) -> None:
        """Ask it to end when its work is done."""
        self._left_at = time.monotonic()
        self.send(self.program.leave_signal)

    def hurry(self) -> None:
        """Stop it if leaving takes too long."""
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
        """Whether it has ended, or its grace period is over."""
        grace_s = min(self.program.grace_s, _HURRIED_S) if hurried else self.program.grace_s
        return not self.process or waited_s > grace_s or has_ended(self.process)

    def kill(self) -> None:
        self._ready.close()
        if self.process:
            kill_group(self.process)

    def bury(self) -> str:
        """Record the death, plan the restart; returns a line about it, if it is worth one.

        Raises Crashed if there is to be no restart, and others need this program.
        """
        assert self.process
        self._was_ready = self._was_ready or self.has_served()  # in case nothing waited for it
        kill_group(self.process)  # children of its own would hold its ports and its work
        code, self.process = self.process.returncode, None
        program, see = self.program, f"; see {self.program.log}" if self.program.log else ""
        if program.once:
            self.restart_at = math.inf
            return f"{program.name} failed ({how(code)})" if code else ""
        if code in program.final:
            return self._abandon(Hopeless, f"{program.name} cannot run ({how(code)})")
        if code in program.planned:
            self.restart_at = time.monotonic()
            return f"{program.name} asked to be started again ({how(code)})"
        died = f"{program.name} died ({how(code)})"
        pause_s = self._pause_s()
        if self._gives_up() and len(self._deaths) > DEATHS_A_MINUTE_MAX:
            return self._abandon(Crashed, f"{died} {len(self._deaths)} times in a minute")
        self.restart_at = time.monotonic() + pause_s
        why = end_of(program.log, 3) if len(self._deaths) > DEATHS_A_MINUTE_MAX else see
        return f"{died}: starting it again in {pause_s:.1f} s{why}"

    def _gives_up(self) -> bool:
        return self.program.gives_up and not self._was_ready

    def _abandon(self, kind: type[Crashed], why: str) -> str:
        """Raise `kind`, or return one line that the others continue without it, with the end of its log."""
        log = self.program.log
        if not self.program.optional:
            raise kind(f"{why}{end_of(log)}")
        self.restart_at = math.inf
        return f"{why}: going on without it; {tail(log, 1) or 'it said nothing'}"

    def _pause_s(self) -> float:
        """Count this death among the recent ones; returns how long to wait after it."""
        now = time.monotonic()
        remembered_s = _REMEMBERED_S if self._gives_up() else 10 * _REMEMBERED_S
        self._deaths = [t for t in self._deaths if now - t < remembered_s] + [now]
        return min(BACKOFF_S_MAX, _BACKOFF_S * 2 ** (len(self._deaths) - 1))
