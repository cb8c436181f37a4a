"""The device script and its benchmark run where none of CodeVoice's own dependencies is installed."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "ops" / "bench" / "xtts_device.sh"
OURS = ("msgspec", "structlog", "litestar", "asyncpg", "psycopg", "redis", "dramatiq", "rich_click", "av")


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/bash", SCRIPT, *words],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_benchmark_needs_nothing_but_torch_coqui_tts_and_the_wheels_it_is_given(tmp_path: Path) -> None:
    wheels, results = tmp_path / "wheels", tmp_path / "results"
    wheels.mkdir()
    bare = f"import sys; sys.modules.update(dict.fromkeys({OURS})); print('bare', file=sys.stderr)"
    with zipfile.ZipFile(wheels / "without-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("sitecustomize.py", bare)  # a module that is None cannot be imported
    done = run("run", wheels, results, "--help")
    log = (results / "xtts.log").read_text()
    assert done.returncode == 0, log
    assert "bare\n" in log
    assert "torch " in log
    assert "--size" in (results / "xtts.json").read_text()


def test_the_device_script_prints_its_usage() -> None:
    done = run()
    assert done.returncode == 2
    assert "xtts_device.sh run WHEELS RESULTS" in done.stderr
