"""A stack of the benchmark's own: the engines it needs, limits it never reaches, nothing left behind."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ops.bench import BenchError
from ops.stack.running import Stack, running_stack
from workers.models.store import models_folder

_STOP_S_MAX = 20
_KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR")
UNLIMITED = {  # all limits on, none reached
    "CODEVOICE_POSTS_PER_MINUTE": "60000000",
    "CODEVOICE_POSTS_BURST": "1000000",
    "CODEVOICE_ACCOUNT_POSTS_PER_MINUTE": "60000000",
    "CODEVOICE_ACCOUNT_POSTS_BURST": "1000000",
    "CODEVOICE_FREE_STORED_BYTES_MAX": "1000000000000",
    "CODEVOICE_STORE_FREE_BYTES_MIN": "0",
    "CODEVOICE_STORE_FREE_PERCENT_MIN": "0",
}


@contextmanager
def own_stack(codevoice: Path | None = None, /, *, engines: str, **more: str) -> Generator[Stack]:
    """`codevoice up` in a new home with these engines on the CPU; stopped and removed at the end. `more`:
    added to its environment. `codevoice`: the program of another checkout.
    """
    with tempfile.TemporaryDirectory(prefix="codevoice-bench-") as folder:
        Path(folder).chmod(0o755)  # Postgres may run as another account
        environ = {"CODEVOICE_HOME": f"{folder}/home", "CODEVOICE_PORT": "0"} | UNLIMITED
        environ["CODEVOICE_MODELS"] = str(models_folder(os.environ))  # the installed ones, not new copies
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        program = codevoice or Path(sys.executable).with_name("codevoice")
        up = subprocess.Popen(
            [program, "up", "--json", "--devices", "cpu", "--engines", engines],
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
