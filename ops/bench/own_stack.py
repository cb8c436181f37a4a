"""A stack of the benchmark's own: the engines it wants, limits that do not count it, nothing left behind."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ops.bench import BenchError
from ops.stack import Stack, running_stack

_STOP_S_MAX = 20
_KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR")
_UNLIMITED = {"CODEVOICE_POSTS_PER_MINUTE": "1000000", "CODEVOICE_POSTS_BURST": "100000"}


@contextmanager
def own_stack(*, engines: str, **more: str) -> Generator[Stack]:
    """`codevoice up` in a new home with these engines on the CPU; stopped and removed at the end. `more`:
    into its environment.
    """
    with tempfile.TemporaryDirectory(prefix="codevoice-bench-") as folder:
        Path(folder).chmod(0o755)  # Postgres may run as another account
        environ = {"CODEVOICE_HOME": f"{folder}/home", "CODEVOICE_PORT": "0"} | _UNLIMITED
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        up = subprocess.Popen(
            [
                Path(sys.executable).with_name("codevoice"),
                "up",
                "--json",
                "--devices",
                "cpu",
                "--engines",
                engines,
            ],
            env=kept | environ | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        with up:
            try:
                if not (up.stdout and up.stdout.readline()):
                    raise BenchError("the benchmark's own stack did not start")
                yield running_stack(environ | more)
            finally:
                up.terminate()
                try:
                    up.wait(_STOP_S_MAX)
                except subprocess.TimeoutExpired:
                    up.kill()
