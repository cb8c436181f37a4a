"""CPU time of a process with all it started, as the kernel counts it."""

import os
from pathlib import Path

_TICKS_A_S = os.sysconf("SC_CLK_TCK")


def family_s(pid: int) -> float:
    """CPU seconds so far of a process, its living children, and those that have ended."""
    try:
        own = sum(_thread_s(task) for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = list(Path(f"/proc/{pid}/task").glob("*/children"))
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    ended = (int(fields[13]) + int(fields[14])) / _TICKS_A_S
    return own + ended + sum(family_s(int(child)) for each in children for child in _read(each).split())


def _thread_s(schedstat: Path) -> float:
    return int((_read(schedstat).split() or ["0"])[0]) / 1e9


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
