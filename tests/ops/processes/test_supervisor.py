"""The supervisor restarts programs that die, gives up on those that keep dying, and leaves no process."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from msgspec.structs import replace

from ops.processes import program as programs
from ops.processes import supervisor
from ops.processes.program import Program, trim
from ops.processes.signals import Signals
from ops.processes.supervisor import Crashed, Supervisor

READY = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(__import__('os').getpid())); "


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Program]:
    """A Python program that is ready once it has written its process id."""

    def make(code: str) -> Program:
        mark = tmp_path / "ready"
        return Program(
            name="dummy",
            argv=(sys.executable, "-c", READY + code, str(mark)),
            env={},
            log=tmp_path / "dummy.log",
            is_ready=lambda pid: mark.exists() and mark.read_text() == str(pid),
            grace_s=0.5,
        )

    return make


@pytest.fixture
def kept() -> Generator[Supervisor]:
    """A supervisor, stopped at the end."""
    with Signals() as signals:
        supervisor = Supervisor(signals)
        yield supervisor
        supervisor.stop()


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_killed_program_is_restarted(program: Callable[[str], Program], kept: Supervisor) -> None:
    kept.start(program("time.sleep(60)"))
    kept.wait_ready("dummy", seconds=30)
    first = kept.pids()["dummy"]
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    kept.mend()
    kept.wait_ready("dummy", seconds=30)
    second = kept.pids()["dummy"]
    kept.stop()
    assert second != first
    assert not exists(second)


def test_a_program_that_keeps_dying_is_given_up_with_the_end_of_its_log(
    program: Callable[[str], Program], kept: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_BACKOFF_S", 0.001)
    kept.start(program("sys.exit('no such setting')"))
    with pytest.raises(
        Crashed, match=r"dummy died \(exit status 1\) 6 times in a minute(.|\n)*no such setting"
    ):
        kept.watch()
    assert kept.pids() == {}


def test_a_program_that_was_ready_once_is_restarted_until_it_stays_up(
    program: Callable[[str], Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_BACKOFF_S", 0.001)
    broken, lines = tmp_path / "broken", list[str]()
    code = f"time.sleep(0 if pathlib.Path({str(broken)!r}).exists() else 60); sys.exit('no space left')"
    with Signals() as signals:
        kept = Supervisor(signals, report=lines.append)
        kept.start(program(code))
        kept.wait_ready("dummy", seconds=30)
        broken.touch()
        os.kill(kept.pids()["dummy"], signal.SIGKILL)

        while len(lines) <= supervisor.DEATHS_A_MINUTE_MAX + 1:
            kept.mend()
        broken.unlink()
        (tmp_path / "ready").unlink()
        kept.wait_ready("dummy", seconds=30)
        kept.stop()

    assert "no space left" in lines[-1]
    assert "no space left" not in lines[1]


def test_a_program_that_ignores_term_is_killed_with_its_children(
    program: Callable[[str], Program],
    kept: Supervisor,
    tmp_path: Path,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    child = tmp_path / "child"
    kept.start(
        program(
            "import signal, subprocess; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
            "p = subprocess.Popen(['/bin/sleep', '60']); "
            f"pathlib.Path({str(child)!r}).write_text(f'{{p.pid}}.'); "
            "time.sleep(60)"
        )
    )
    eventually(lambda: child.exists() and child.read_text().endswith("."))
    parent, grandchild = kept.pids()["dummy"], int(child.read_text().rstrip("."))
    kept.stop()
    assert not exists(parent)
    eventually(lambda: not exists(grandchild))


NOTIFIES = "import os; os.write(int(os.environ['CODEVOICE_READY_FD']), b'.'); "


@pytest.fixture
def renewable(tmp_path: Path) -> Program:
    """A program that can be renewed as long as the file `broken` is absent."""
    broken = tmp_path / "broken"
    hangs = f"import pathlib, time; time.sleep(60) if pathlib.Path({str(broken)!r}).exists() else 0; "
    return Program(
        name="dummy",
        argv=(sys.executable, "-c", hangs + NOTIFIES + "time.sleep(60)"),
        env={},
        log=tmp_path / "dummy.log",
        is_ready=lambda _: True,
        notifies_ready=True,
        renewed="beside",
        leave_s=60,
    )


def test_a_successor_is_ready_before_the_renewed_program_is_stopped(
    renewable: Program, kept: Supervisor, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    kept.start(renewable)
    kept.wait_ready("dummy", seconds=30)
    first = kept.pids()["dummy"]
    kept.renew()
    second = kept.pids()["dummy"]
    assert second != first
    eventually(lambda: kept.mend() or not exists(first))
    assert exists(second)


def test_a_program_stays_when_its_successor_is_not_ready(
    renewable: Program, kept: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RENEWAL_S_MAX", 0.5)
    kept.start(renewable)
    kept.wait_ready("dummy", seconds=30)
    first = kept.pids()["dummy"]
    (tmp_path / "broken").touch()
    kept.renew()
    assert kept.pids() == {"dummy": first}
    assert exists(first)


def test_a_program_that_ignores_its_leave_signal_is_stopped(
    renewable: Program, kept: Supervisor, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    kept.start(replace(renewable, leave_signal=signal.SIGCONT, leave_s=0.1))
    kept.wait_ready("dummy", seconds=30)
    first = kept.pids()["dummy"]
    kept.renew()
    eventually(lambda: kept.mend() or not exists(first))
    assert exists(kept.pids()["dummy"])


@pytest.fixture
def reported() -> Generator[tuple[Supervisor, list[str]]]:
    """A supervisor, stopped at the end, and what it reports."""
    lines: list[str] = []
    with Signals() as signals:
        supervisor = Supervisor(signals, report=lines.append)
        yield supervisor, lines
        supervisor.stop()


def test_the_others_continue_without_an_optional_program(
    program: Callable[[str], Program],
    reported: tuple[Supervisor, list[str]],
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    kept, lines = reported
    kept.start(replace(program("time.sleep(60)"), name="needed"))
    kept.start(
        replace(
            program("print('first', file=sys.stderr); sys.exit('no such model')"),
            name="extra",
            optional=True,
            final=frozenset({1}),
            is_ready=lambda _: False,
            renewed="after",
        )
    )
    assert not kept.wait_ready("extra", seconds=30)
    assert lines == ["extra cannot run (exit status 1): going on without it; no such model"]
    kept.mend()
    assert {*kept.pids()} == {"needed"}
    kept.renew()  # a supervisor asked to renew all programs tries again
    eventually(lambda: kept.mend() or len(lines) == 2)


def test_an_optional_program_that_keeps_dying_is_given_up(
    program: Callable[[str], Program],
    reported: tuple[Supervisor, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "_BACKOFF_S", 0.001)
    kept, lines = reported
    kept.start(replace(program("sys.exit('broken')"), optional=True, is_ready=lambda _: False))
    assert not kept.wait_ready("dummy", seconds=30)
    assert lines[-1] == "dummy died (exit status 1) 6 times in a minute: going on without it; broken"


def test_an_optional_program_that_is_late_is_not_waited_for(
    program: Callable[[str], Program], reported: tuple[Supervisor, list[str]]
) -> None:
    kept, lines = reported
    kept.start(replace(program("time.sleep(60)"), optional=True, is_ready=lambda _: False))
    assert not kept.wait_ready("dummy", seconds=0.1)
    assert lines == ["dummy was not ready within 0 s: going on without it"]
    assert {*kept.pids()} == {"dummy"}


@pytest.mark.parametrize(("code", "said"), [("0", []), ("3", ["dummy failed (exit status 3)"])])
def test_a_one_shot_program_is_not_restarted(
    program: Callable[[str], Program],
    reported: tuple[Supervisor, list[str]],
    eventually: Callable[[Callable[[], bool]], None],
    code: str,
    said: list[str],
) -> None:
    kept, lines = reported
    kept.start(replace(program(f"sys.exit({code})"), once=True))
    eventually(lambda: kept.mend() or kept.pids() == {})
    kept.mend()
    assert (kept.pids(), lines) == ({}, said)


def test_renewing_does_not_wait_for_one_that_was_not_ready(
    renewable: Program,
    kept: Supervisor,
    tmp_path: Path,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    (tmp_path / "broken").touch()  # it waits for something
    kept.start(replace(renewable, renewed="after", optional=True, leave_signal=signal.SIGTERM))
    first = kept.pids()["dummy"]
    kept.renew()
    eventually(lambda: kept.mend() or kept.pids().get("dummy", first) != first)


SUPERVISING = """
import sys
from pathlib import Path
from ops.processes.signals import Signals, Stop
from ops.processes.program import Program
from ops.processes.supervisor import Supervisor
with Signals() as signals:
    kept = Supervisor(signals)
    kept.start(Program(name="sleep", argv=("/bin/sleep", "60"), env={}, log=Path(sys.argv[1]) / "sleep.log",
                       is_ready=lambda _: True))
    print(kept.pids()["sleep"], flush=True)
    try:
        kept.watch()
    except Stop:
        kept.stop()
        print("stopped", flush=True)
"""


def supervising(tmp_path: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )


def test_kill_9_of_the_supervisor_leaves_nothing(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    with supervising(tmp_path) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        process.kill()
    eventually(lambda: not exists(pid))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with supervising(tmp_path) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        process.send_signal(number)
        assert process.stdout.readline() == "stopped\n"
        assert process.wait(30) == 0
    assert not exists(pid)


def test_a_log_that_is_too_long_is_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "LOG_BYTES_MAX", 10)
    log = tmp_path / "api.log"
    with log.open("ab") as writer:
        writer.write(b"0123456789A")
        writer.flush()
        trim(log)
        writer.write(b"next")
    assert (log.read_bytes(), (tmp_path / "api.log.1").read_bytes()) == (b"next", b"0123456789A")
