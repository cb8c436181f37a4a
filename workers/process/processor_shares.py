"""How engines on one machine share the processor when they want more of it than there is."""

import os
from contextlib import suppress
from math import log
from pathlib import Path

from db.settings import SettingsError

_STEP = 1.25  # by which a step of the nice value divides a process's share
_NICE_MAX = 19
_AUTOGROUP = Path("/proc/self/autogroup")


def share_processor(engine: str, shares: str) -> None:
    """Give this process, and all it starts, its engine's share. Call it in the main thread, before there are
    others.

    Raises SettingsError.
    """
    if (nice := nice_value(engine, shares)) == 0:
        return
    os.nice(nice)
    # If the kernel groups processes by session, a nice value counts within the group, which has its own.
    with suppress(OSError):
        _AUTOGROUP.write_text(str(os.getpriority(os.PRIO_PROCESS, 0)))


def nice_value(engine: str, shares: str) -> int:
    """How much nicer the engine's process is than those with the largest share: "hibari=8,kokoro=2".

    An engine without a share gets the largest. Raises SettingsError.
    """
    parts = _read(shares)
    if engine not in parts:
        return 0
    return min(_NICE_MAX, round(log(max(parts.values()) / parts[engine], _STEP)))


def _read(shares: str) -> dict[str, float]:
    parts: dict[str, float] = {}
    for part in filter(None, map(str.strip, shares.split(","))):
        name, _, share = part.rpartition("=")
        try:
            parts[name.strip()] = float(share)
        except ValueError:
            parts[""] = 0.0
        if not name or not 0.001 <= parts.get(name.strip(), 0.0) <= 1000:
            raise SettingsError(f"CODEVOICE_PROCESSOR_SHARES: engine=share, from 0.001 to 1000, not `{part}`")
    return parts
