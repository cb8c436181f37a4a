"""A minute of `codevoice storm`: everything dies again and again, and every answer given still bears out."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ops.storm import history
from tests.e2e.faults.storm_mutants import found

CODEVOICE = Path(sys.executable).with_name("codevoice")


def command(folder: Path, seconds: int) -> list[str]:
    return [str(CODEVOICE), "storm", "--json", "--seconds", str(seconds), "--resume", str(folder)]


def acks(folder: Path) -> int:
    return sum(event.kind == "ok" and event.op == "submit" for event in history.read(folder))


@pytest.mark.timeout(420)
def test_a_storm_breaks_no_promise_even_when_it_is_killed_itself_and_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "storm"
    first = subprocess.Popen(command(folder, 600), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while acks(folder) < 100 and time.monotonic() < deadline:
        time.sleep(0.5)
    os.kill(first.pid, signal.SIGKILL)  # the stack dies with it
    first.wait()
    done = subprocess.run(command(folder, 60), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)["figures"]
    assert (seen["violations"], seen["defects"]) == (0, 0)
    assert seen["acks"] > 300
    assert seen["process_kills"] > 10
    assert seen["postgres_kills"] > 0


@pytest.mark.timeout(420)
def test_a_storm_finds_a_broken_ledger() -> None:
    assert "an entry that nobody promised" in found("paid credits before free ones")


def test_an_unknown_fault_is_refused(tmp_path: Path) -> None:
    arguments = [*command(tmp_path / "storm", 1), "--faults", "earthquake"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "no earthquake" in done.stderr) == (2, True)
    assert not (tmp_path / "storm").exists()
