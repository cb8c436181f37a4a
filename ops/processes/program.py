"""A program to run, and its process: in a session of its own, killed when we die, its output in a log."""

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

LOG_BYTES_MAX = 10_000_000
_PR_SET_PDEATHSIG = 1

Renewed = Literal["never", "beside", "after"]  # when a successor starts: before the old one ends, or after


class Program(Struct, frozen=True, kw_only=True):
    """What to run, how to see that it is ready, and how to end it."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path | None  # None: our own stderr
    is_ready: Callable[[int], bool]  # called with its process id
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL  # when we die, since no supervisor is left to kill it
    grace_s: float = 2.0
    wave: int = 0  # programs of one wave are stopped together, the highest wave first
    fds: tuple[int, ...] = ()  # inherited, under the same numbers
    before: Callable[[], None] = lambda: None  # called before each start
    # Whether a program that keeps dying before it was ever ready ends everything. One that was ready once is
    # restarted for ever, ever more slowly: the cause, a full disk for example, may pass.
    gives_up: bool = True
    final: frozenset[int] = frozenset()  # exit statuses that a restart would not fix
    optional: bool = False  # if it cannot run, or keeps dying, the others continue without it
    once: bool = False  # not restarted after it has ended
    planned: frozenset[int] = frozenset()  # exit statuses that request a restart at once
    notifies_ready: bool = False  # by a line on the descriptor CODEVOICE_READY_FD
    renewed: Renewed = "never"
    leave_signal: signal.Signals = signal.SIGTERM  # asks a replaced process to end when its work is done
    leave_s: float = 0.0  # it has this long, then it is stopped


def spawn(program: Program) -> "subprocess.Popen[bytes]":
    """Start `program` in a session of its own, its output appended to its log; it dies when we die."""
    program.before()
    trim(program.log)
    with program.log.open("ab") if program.log else nullcontext() as log:
        return subprocess.Popen(
            program.argv,
            env=dict(program.env),
            cwd="/",  # the one folder every account can use
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
        if os.getppid() != parent:  # died before the request
            os._exit(1)

    return ask_kernel


def has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Whether it ended; keeps its process id reserved, so that its group can still be killed safely."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of the process and of all it started in its session, and reap it."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def trim(log: Path | None) -> None:
    """Rotate a log over LOG_BYTES_MAX, replacing the previous one; its writers, who append, continue at 0."""
    if log and log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        with suppress(OSError):  # a full disk: losing the copy is better than a longer log
            shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)


def how(code: int) -> str:
    """A process's exit status as text."""
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name


def end_of(log: Path | None, lines: int = 12) -> str:
    """The last lines of a log, as the end of a message."""
    return f"; the end of {log}:\n{tail(log, lines)}" if log else ""


def tail(log: Path | None, lines: int) -> str:
    """The last lines of a log; empty if there is none."""
    text = log.read_bytes()[-8000:].decode(errors="replace") if log and log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])
