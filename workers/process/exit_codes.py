"""Why a worker process ended, as its exit status: what whoever started it may conclude."""

from enum import IntEnum


class Exit(IntEnum):
    """The statuses of `python -m workers`; any other is a crash."""

    DRAINED = 0
    FAILED = 1
    SETTING = 2  # starting it again would mend nothing
    DEVICE_LOST = 3  # a new process may find the device well again
    RECYCLED = 4  # it had grown, or was asked to: to be started again at once
