"""CPU time of a process and all its descendants, as the kernel counts it."""

import os
from pathlib import Path

_TICKS_A_S = os.sysconf("SC_CLK_TCK")


def family_s(pid: int) -> float:
    """CPU seconds so far of a process, its living children, and those that have ended."""
    try:
        own = sum(_thread_s(task) for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    ended = (int(fields[13]) + int(fields[14])) / _TICKS_A_S
    return own + ended + sum(family_s(child) for child in children_of(pid))


def children_of(pid: int) -> list[int]:
    """The living child processes of `pid`."""
    return [
        int(child) for each in Path(f"/proc/{pid}/task").glob("*/children") for child in _read(each).split()
    ]


def worker_of(supervisor: int, engine: str) -> int:
    """The worker process of an engine, found by its environment: it may start long after the stack is ready.
    0, which no process has, if there is none.
    """
    setting = f"CODEVOICE_ENGINE={engine}"
    found = (
        pid for pid in children_of(supervisor) if setting in _read(Path(f"/proc/{pid}/environ")).split("\0")
    )
    return next(found, 0)


def _thread_s(schedstat: Path) -> float:
    return int((_read(schedstat).split() or ["0"])[0]) / 1e9


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
