"""Confined servers: start, end, and the log event of a machine that cannot confine fully."""

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.speaking import children, ends
from workers.process import launcher
from workers.process.launcher import ForkServer

PROCESS = Path(launcher.__file__).parent
IN_CHILDREN = ("bootstrap", "confinement", "landlock", "profiles", "seccomp", "planted")


def started(program: Path, kind: str = "decoder") -> ForkServer:
    return ForkServer(kind, program, start_s=20, send_s=5)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Reports that it is ready, then waits for its control socket to close."""
    file = tmp_path / "program.py"
    file.write_text(
        "import os, socket\n"
        "def main(confinement, arguments):\n"
        "    confinement.of_server()\n"
        "    control = socket.socket(fileno=int(arguments[0]))\n"
        "    control.send(b'ready')\n"
        "    control.recv(1)\n"
    )
    return file


@pytest.fixture
def server(program: Path) -> Iterator[ForkServer]:
    server = started(program)
    yield server
    server.stop()


def test_a_server_gets_no_environment_and_no_open_files(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    report = program.with_name("report")
    program.write_text(
        "import os, socket\n"
        "def main(confinement, arguments):\n"
        "    with open('/proc/self/environ') as environ:\n"
        f"        open({str(report)!r}, 'w').write(environ.read() + str(dict(os.environ)))\n"
        "    socket.socket(fileno=int(arguments[0])).send(b'ready')\n"
    )
    with open(program) as _ours:
        os.set_inheritable(_ours.fileno(), True)
        started(program).stop()
    assert "DATABASE_URL" not in report.read_text()
    assert report.read_text() in ("{}", "{'LC_CTYPE': 'C.UTF-8'}")


def test_a_running_server_is_not_lost_and_one_that_ended_is(server: ForkServer) -> None:
    assert not server.is_lost()
    (pid,) = [
        pid for pid in children(os.getpid()) if "program.py" in Path(f"/proc/{pid}/cmdline").read_text()
    ]
    os.kill(pid, 9)
    assert ends(pid)
    assert server.is_lost()


def test_a_server_that_was_stopped_or_retired_is_lost(program: Path) -> None:
    stopped, retired = started(program), started(program)
    stopped.stop()
    stopped.stop()
    retired.retire()
    assert stopped.is_lost()
    assert retired.is_lost()


def test_a_program_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def main(confinement, arguments):\n    raise SystemExit(1)\n")
    with pytest.raises(ConnectionError):
        started(tmp_path / "broken.py")


def test_a_kind_without_a_profile_is_not_started(program: Path) -> None:
    with pytest.raises(ValueError, match="no profile"):
        started(program, kind="stranger")


def test_missing_features_are_logged_as_one_event(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launcher, "missing", lambda: ["landlock", "seccomp"])
    launcher.log_missing()
    output = capsys.readouterr()
    assert (output.out + output.err).count("confinement_incomplete") == 1
    monkeypatch.setattr(launcher, "missing", list)
    launcher.log_missing()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", IN_CHILDREN)
def test_modules_of_a_confined_child_import_the_standard_library_alone(name: str) -> None:
    tree = ast.parse((PROCESS / f"{name}.py").read_text())
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = {f"workers.process.{each}" for each in IN_CHILDREN} | {"workers.process"}
    assert {each for each in found - own if each.partition(".")[0] not in sys.stdlib_module_names} == set()


@pytest.mark.parametrize(
    "program",
    [
        "workers/engines/espeak/espeak_server.py",
        "workers/engines/pocketsphinx/pocketsphinx_server.py",
        "workers/audio/decode_server.py",
    ],
)
def test_a_program_confines_itself_before_it_reports_ready(program: str) -> None:
    source = (PROCESS.parents[1] / program).read_text()
    assert 0 < source.index("confinement.of_server(") < source.index("control.send(")
