"""A small disk for one test, which only root can mount."""

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import Lack


class Disk:
    """A tmpfs mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no byte."""
        with self._ballast.open("ab") as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        os.write(file.fileno(), bytes(size))
                except OSError:  # full, but for less than so much
                    continue

    def free(self) -> None:
        """Free the space."""
        self._ballast.unlink(missing_ok=True)

    def remount(self, *, writable: bool) -> None:
        """Mount it anew, to be written to or not."""
        _run("mount", "-o", f"remount,{'rw' if writable else 'ro'}", str(self.folder))


@contextmanager
def disk(folder: Path, *, mib: int, lack: Lack) -> Generator[Disk]:
    """Mounts a disk of `mib` MiB on the folder; the test is skipped where this process may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() or not _run("mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755", "tmpfs", str(folder)):
        lack("the right to mount a tmpfs", may_be_absent=True)
    try:
        yield Disk(folder)
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
