"""The storm's disk faults: objects written during a fault are still there after it."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ops.storm.stack import disks
from tests.conftest import Lack

_ROUNDS = 30


class Writer:
    """Writes small files continuously, and records those whose write succeeded."""

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


@pytest.mark.parametrize("fault", [disks.fill, disks.protect])
def test_what_was_put_while_the_disk_broke_is_there_when_it_is_mended(
    fault: Callable[[Path], bool], tmp_path: Path, lack: Lack
) -> None:
    if not disks.may_mount():
        lack("the right to mount a tmpfs", may_be_absent=True)
    folder = tmp_path / "objects"
    folder.mkdir()
    writer = Writer(folder)
    try:
        for _ in range(_ROUNDS):
            assert fault(folder)
            with pytest.raises(OSError):  # noqa: PT011 (which one depends on the fault)
                (folder / "another").write_bytes(bytes(8192))
            disks.mend(folder)
    finally:
        writer.stop()
        disks.mend(folder)
    assert [name for name in writer.put if not (folder / name).is_file()] == []
