"""A minute of `codevoice storm`: everything dies again and again, and every answer given still bears out."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CODEVOICE = Path(sys.executable).with_name("codevoice")


def storm(folder: Path, seconds: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ("storm", "--json", "--seconds", str(seconds), "--resume", str(folder), *arguments)
    return subprocess.run([CODEVOICE, *command], capture_output=True, text=True, check=False, timeout=170)


def figures(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["figures"]


def test_a_storm_breaks_no_promise(tmp_path: Path) -> None:
    seen = figures(storm(tmp_path / "storm", 60))
    assert (seen["violations"], seen["defects"]) == (0, 0)
    assert seen["acks"] > 200
    assert seen["process_kills"] > 10
    assert seen["postgres_kills"] > 0
