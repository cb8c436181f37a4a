"""Memory of a process and all its descendants, as the kernel counts it."""

from pathlib import Path

from ops.bench.harness.cpu import children_of


def family_pss_mib(pid: int) -> float:
    """Proportional set size: memory that several processes share counts once, in parts. Processes that have
    ended, or that this user may not inspect, count nothing.
    """
    return _pss_mib(pid) + sum(family_pss_mib(child) for child in children_of(pid))


def _pss_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)
