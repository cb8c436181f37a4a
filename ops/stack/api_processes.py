"""The API's processes under `codevoice up`: how many, the settings of each, when each is ready.

All accept from one listening socket, so none of them has an address of its own; their shared state is in
Postgres and Valkey. The first is named `api`, the others `api-2`, `api-3` …
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from signal import SIGUSR1

from db.settings import DbSettings, read
from ops.processes.listener import Listener, get
from ops.processes.program import Program
from ops.stack import workers

NAME = "api"
_DEFAULT_MAX = 8
_CORES_A_PROCESS = 2  # Postgres, Valkey and the engines need the other
_OTHER_CONNECTIONS = 13  # per process, beside its pool: reserve 3, rare requests 8, heartbeats 2
_BESIDE = 2  # during renewal, each old process and its successor run
_GRACE_S = 5.0
_PASSWORD_THREADS, _PASSWORDS_WAITING = 2, 32  # for the machine


def default_count() -> int:
    """One for every two cores that this process may use, from 1 to 8."""
    return max(1, min(_DEFAULT_MAX, len(os.sched_getaffinity(0)) // _CORES_A_PROCESS))


def names(count: int) -> list[str]:
    """The processes' names, the first without a number."""
    return [NAME, *(f"{NAME}-{number}" for number in range(2, count + 1))]


def connections(count: int, environ: Mapping[str, str]) -> int:
    """The maximum of Postgres connections that the processes use, renewal included. Raises SettingsError."""
    return _BESIDE * count * (read(DbSettings, environ).pool_connections + _OTHER_CONNECTIONS)


def programs(
    count: int, environ: Mapping[str, str], listener: Listener, logs: Mapping[str, Path], *, wave: int
) -> list[Program]:
    """One program per name; ready when it reports readiness and the address answers."""
    shared = {**_shares(count), **environ, "CODEVOICE_LISTEN_FD": str(listener.fd)}
    return [
        Program(
            name=name,
            argv=(sys.executable, "-m", "app"),
            env=shared,
            log=logs[name],
            is_ready=lambda _: get(listener.url, "/health/live") is not None,
            fds=(listener.fd,),
            grace_s=_GRACE_S,
            wave=wave,
            planned=frozenset({0}),  # after SIGTERM
            notifies_ready=True,
            renewed="beside",
            leave_signal=SIGUSR1,
            leave_s=workers.LEAVE_S,
        )
        for name in names(count)
    ]


def _shares(count: int) -> dict[str, str]:
    """Each process's share of the machine-wide limits; an operator's own value applies to each process."""
    return {
        "CODEVOICE_PASSWORD_THREADS": str(max(1, _PASSWORD_THREADS // count)),
        "CODEVOICE_PASSWORD_WAITING_MAX": str(max(1, _PASSWORDS_WAITING // count)),
    }
