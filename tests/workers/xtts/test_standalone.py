"""The benchmark runs where nothing of CodeVoice's own dependencies is installed."""

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[3] / "ops" / "bench" / "xtts.py"
OURS = ("msgspec", "structlog", "litestar", "asyncpg", "psycopg", "redis", "dramatiq", "rich_click", "av")


def test_the_benchmark_needs_nothing_but_torch_and_coqui_tts(tmp_path: Path) -> None:
    without = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({OURS}))  # None: cannot be imported
sys.argv = [{str(BENCH)!r}, "--help"]
runpy.run_path({str(BENCH)!r}, run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", without], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--size" in done.stdout
