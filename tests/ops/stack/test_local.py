"""`codevoice up`: from an empty folder to ready, killed and recovered, stopped and restarted."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import psycopg
import pytest

from ops.processes.listener import ListenError, get, listening
from ops.stack.home import HomeError, HomeTaken, held, home_of, secrets_of
from tests.clock import unhurried
from tests.stack import NO_INDEX, small

CODEVOICE = str(Path(sys.executable).with_name("codevoice"))


def environ_of(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, **small(), "CODEVOICE_HOME": str(folder / "home"), "CODEVOICE_PORT": "0", **more}


@contextmanager
def started(environ: dict[str, str], *arguments: str) -> "Generator[subprocess.Popen[str]]":
    """`codevoice up`, stopped at the end."""
    process = subprocess.Popen(
        [CODEVOICE, "up", *arguments],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(60)


def ready(process: "subprocess.Popen[str]") -> dict[str, str]:
    assert process.stdout
    line = process.stdout.readline()
    if not line and process.stderr:
        pytest.fail(process.stderr.read())
    return json.loads(line)


def stack_of(environ: dict[str, str]) -> dict[str, object]:
    done = subprocess.run(
        [CODEVOICE, "env", "--json"], env=environ, capture_output=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def pids_of(environ: dict[str, str]) -> dict[str, int]:
    pids = stack_of(environ)["pids"]
    assert isinstance(pids, dict)
    return pids


def alive(pids: dict[str, int]) -> list[str]:
    return [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]


def said_by(environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [CODEVOICE, "up"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_up_speaks_and_a_restart_keeps_the_account(tmp_path: Path) -> None:
    environ, lines = environ_of(tmp_path), []
    for _ in range(2):
        with started(environ, "--json") as process:
            lines.append(ready(process))
    assert {*lines[0]} == {"url", "api_key", "email", "password"}
    assert lines[0] | {"url": ""} == lines[1] | {"url": ""}


def unreachable(folder: Path) -> dict[str, str]:
    """Variables with which no model can be fetched: every source refuses."""
    refused = "http://127.0.0.1:1"
    return {
        "CODEVOICE_MODELS": str(folder),
        "CODEVOICE_ENGINES": "",
        "https_proxy": refused,
        **NO_INDEX,
    }


def test_without_models_or_a_network_up_is_ready_and_reports_what_is_missing(tmp_path: Path) -> None:
    environ = environ_of(tmp_path, **unreachable(tmp_path / "models"), CODEVOICE_SMALL="")
    with started(environ, "--json") as process:
        ready(process)
        assert process.stderr
        said = list(takewhile(lambda line: "whisper-base cannot be had" not in line, process.stderr))
        pids = pids_of(environ)
    assert "worker-whisper-cpu" in pids  # it waits
    assert {"worker-hibari-cpu", "worker-kokoro-cpu"}.isdisjoint(pids)
    assert sum("going on without hibari" in line for line in said) == 1


def test_the_small_stack_fetches_nothing_in_the_background(tmp_path: Path) -> None:
    environ = environ_of(tmp_path, **unreachable(tmp_path / "models"))
    with started(environ, "--json", "--small") as process:
        ready(process)
        pids = pids_of(environ)
    assert {"models", "worker-whisper-cpu", "worker-kokoro-cpu"}.isdisjoint(pids)


def test_the_output_of_up_works_as_pasted(tmp_path: Path) -> None:
    with started(environ_of(tmp_path)) as process:
        assert process.stdout
        pasted = {}
        for line in process.stdout:
            if line.startswith(("curl", "python3")):
                pasted[line[:3]] = line
            if line.startswith("Ctrl-C"):
                break
        for name, command in pasted.items():
            (tmp_path / name).mkdir()
            subprocess.run(["/bin/bash", "-c", command], cwd=tmp_path / name, timeout=60, check=True)
            with wave.open(str(tmp_path / name / "voice.wav")) as audio:
                assert audio.getnframes() > 1000
    assert {*pasted} == {"cur", "pyt"}


def test_term_stops_everything_within_ten_seconds(tmp_path: Path) -> None:
    environ = environ_of(tmp_path)
    with started(environ, "--json") as process:
        ready(process)
        pids, began = pids_of(environ), time.monotonic()
        process.terminate()
        assert process.wait(60) == 0
    assert time.monotonic() - began < unhurried(10)
    assert alive(pids) == []
    assert not (tmp_path / "home" / "run" / "stack.json").exists()


def test_a_signal_during_the_start_stops_everything(tmp_path: Path) -> None:
    with started(environ_of(tmp_path), "--json") as process:
        assert process.stderr
        assert "home and port" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stdout
        assert process.stdout.read() == ""


def test_kill_9_leaves_no_process_and_the_next_start_recovers(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    environ = environ_of(tmp_path)
    with started(environ, "--json") as process:
        first = ready(process)
        pids = pids_of(environ)
        process.kill()
    eventually(lambda: alive(pids) == [])
    with started(environ, "--json") as process:
        assert ready(process)["api_key"] == first["api_key"]


def test_every_killed_program_is_restarted_on_the_same_port(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    environ = environ_of(tmp_path)
    with started(environ, "--json") as process:
        url = ready(process)["url"]
        before = stack_of(environ)
        pids = pids_of(environ)
        for name in ("postgres", "valkey", "api", "worker"):
            os.kill(pids[name], signal.SIGKILL)
        eventually(lambda: len({*pids_of(environ).values()} - {*pids.values()}) == 4)
        eventually(lambda: get(url, "/health/ready") is not None)
        after = stack_of(environ)
        with psycopg.connect(str(after["database_url"])) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert before | {"pids": {}} == after | {"pids": {}}


def test_only_the_api_sees_the_secrets(tmp_path: Path) -> None:
    environ = environ_of(tmp_path)
    with started(environ, "--json") as process:
        ready(process)
        secrets = secrets_of(home_of(environ))
        seen = {n: Path(f"/proc/{pid}/environ").read_text() for n, pid in pids_of(environ).items()}
    hidden = (secrets.key_pepper, secrets.key_encryption_key, secrets.jwt_secret, secrets.url_secret)
    assert [name for name, text in seen.items() if any(secret in text for secret in hidden)] == ["api"]
    assert not any(secrets.database_owner_password in text for text in seen.values())


def test_a_second_up_reports_the_running_one(tmp_path: Path) -> None:
    environ = environ_of(tmp_path)
    with started(environ, "--json") as process:
        url = ready(process)["url"]
        done = said_by(environ)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{tmp_path / 'home'} is in use by another stack, at {url}" in done.stderr


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = said_by(environ_of(tmp_path, CODEVOICE_PORT=str(port)))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"port {port} of 127.0.0.1 cannot be listened on" in done.stderr
    assert "CODEVOICE_PORT" in done.stderr
    assert not (tmp_path / "home" / "postgres").exists()


@pytest.mark.parametrize("port", ["many", "-1", "65536"])
def test_a_wrong_port_is_refused(port: str) -> None:
    with pytest.raises(ListenError, match="CODEVOICE_PORT is"), listening({"CODEVOICE_PORT": port}):
        pass


def test_secrets_are_created_once_and_readable_by_the_owner_only(tmp_path: Path) -> None:
    home = home_of({"CODEVOICE_HOME": str(tmp_path / "home")})
    with held(home):
        made = secrets_of(home)
        assert secrets_of(home) == made
    assert stat.S_IMODE((home.folder / "secrets").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700
    assert {len(getattr(made, field)) for field in made.__struct_fields__} == {64}


def test_lost_secrets_are_not_recreated_over_an_existing_database(tmp_path: Path) -> None:
    home = home_of({"CODEVOICE_HOME": str(tmp_path)})
    home.postgres.mkdir()
    with pytest.raises(HomeError, match="is gone, but its database is there"):
        secrets_of(home)


def test_a_home_is_locked_by_one_stack(tmp_path: Path) -> None:
    home = home_of({"CODEVOICE_HOME": str(tmp_path)})
    with held(home), pytest.raises(HomeTaken), held(home):
        pass
    with held(home):
        pass


def test_the_home_follows_the_environment() -> None:
    assert [
        str(home_of(environ).folder)
        for environ in ({"CODEVOICE_HOME": "/a"}, {"XDG_DATA_HOME": "/b"}, {"CODEVOICE_HOME": "/a/../c"})
    ] == ["/a", "/b/codevoice", "/c"]
