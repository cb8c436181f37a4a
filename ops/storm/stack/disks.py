"""Makes the store's folder a full or read-only disk, by mounts over it; requires root."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

_UMOUNTS_MAX = 8
_FULL_BYTES = 4096


def may_mount() -> bool:
    """Whether this process may mount: root may, outside most containers."""
    if os.geteuid():
        return False
    with TemporaryDirectory() as folder:
        is_mounted = _run("mount", "-t", "tmpfs", "storm", folder)
        return is_mounted and _run("umount", folder)


def fill(folder: Path) -> bool:
    """From now on the folder is empty, and its disk full."""
    return _mount_over(folder, _full_disk)


def protect(folder: Path) -> bool:
    """Make the folder read-only."""
    return _mount_over(folder, lambda beside: _read_only(folder, beside))


def mend(folder: Path) -> None:
    """Unmount whatever this storm, or an earlier process of it, has mounted there."""
    if os.geteuid() == 0:
        _unmount(folder)
        _unmount(_beside(folder))


def _mount_over(folder: Path, prepare: Callable[[Path], bool]) -> bool:
    """Mount over the folder what `prepare` mounts beside it.

    Prepared in place, a disk would take files before it is full, which are lost with it; and could not be
    made read-only while one is being written.
    """
    beside = _beside(folder)
    beside.mkdir(exist_ok=True)
    try:
        return prepare(beside) and _run("mount", "--bind", str(beside), str(folder))
    finally:
        _unmount(beside)


def _full_disk(beside: Path) -> bool:
    if not _run("mount", "-t", "tmpfs", "-o", "size=4k,mode=755", "storm", str(beside)):
        return False
    (beside / "ballast").write_bytes(bytes(_FULL_BYTES))
    return True


def _read_only(folder: Path, beside: Path) -> bool:
    steps = (
        ("mount", "--bind", str(folder), str(beside)),
        ("mount", "--make-private", str(beside)),  # else unmounting it would unmount the folder's own
        ("mount", "-o", "remount,bind,ro", str(beside)),
    )
    return all(_run(*step) for step in steps)


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.prepared")


def _unmount(folder: Path) -> None:
    mounted = _UMOUNTS_MAX
    while mounted and _run("umount", "--lazy", str(folder)):  # until nothing is mounted there any more
        mounted -= 1


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
