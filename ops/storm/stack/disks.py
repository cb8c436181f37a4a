"""The store's folder as a disk that is full, or that may not be written to: mounts over it, as root alone."""

import os
import subprocess
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
    """From now on the folder is empty, and its disk full: filled beside, for what is put into the folder
    of the disk before would be lost with it.
    """
    full = _full(folder)
    full.mkdir(exist_ok=True)
    try:
        if not _run("mount", "-t", "tmpfs", "-o", "size=4k,mode=755", "storm", str(full)):
            return False
        (full / "ballast").write_bytes(bytes(_FULL_BYTES))
        return _run("mount", "--bind", str(full), str(folder))
    finally:
        _unmount(full)


def protect(folder: Path) -> bool:
    """From now on the folder can be read only."""
    if not _run("mount", "--bind", str(folder), str(folder)):
        return False
    return _run("mount", "-o", "remount,bind,ro", str(folder))


def mend(folder: Path) -> None:
    """As it was, whatever an earlier life of the storm has left mounted there."""
    if os.geteuid() == 0:
        _unmount(folder)
        _unmount(_full(folder))


def _full(folder: Path) -> Path:
    """Where a disk is filled before it is mounted over the folder."""
    return folder.with_name(f"{folder.name}.full")


def _unmount(folder: Path) -> None:
    mounted = _UMOUNTS_MAX
    while mounted and _run("umount", "--lazy", str(folder)):  # until nothing is mounted there any more
        mounted -= 1


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
