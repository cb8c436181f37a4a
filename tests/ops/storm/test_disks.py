"""The storm's full disk: what was put before it is there after it."""

import threading
from contextlib import suppress
from pathlib import Path

from ops.storm.stack import disks
from tests.conftest import Lack

_ROUNDS = 30


class Writer:
    """Puts small files without a pause, and remembers those of which it was told that they are there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ending = threading.Event()
        self.put: list[str] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._ending.is_set():
            number += 1
            with suppress(OSError):
                (self._folder / str(number)).write_bytes(bytes(364))
                self.put.append(str(number))


def test_nothing_is_put_into_the_disk_that_is_to_be_full(tmp_path: Path, lack: Lack) -> None:
    if not disks.may_mount():
        lack("the right to mount a tmpfs", may_be_absent=True)
    folder = tmp_path / "objects"
    folder.mkdir()
    writer = Writer(folder)
    try:
        for _ in range(_ROUNDS):
            assert disks.fill(folder)
            disks.mend(folder)
    finally:
        writer.stop()
        disks.mend(folder)
    assert [name for name in writer.put if not (folder / name).is_file()] == []
