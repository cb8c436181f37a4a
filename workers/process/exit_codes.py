"""The exit status of a worker process: why it ended, and what its supervisor may conclude."""

from enum import IntEnum


class Exit(IntEnum):
    """The statuses of `python -m workers`; any other is a crash."""

    DRAINED = 0
    FAILED = 1
    SETTING = 2  # a restart would fix nothing
    DEVICE_LOST = 3  # a new process may find the device working again
    RECYCLED = 4  # it had grown, or a signal requested it: restart at once
