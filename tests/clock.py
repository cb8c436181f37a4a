"""How long a promised second lasts on a machine that others use too."""

import os


def unhurried(seconds: float) -> float:
    """The seconds, multiplied by the number of runnable processes per core."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
