"""`codevoice restart`: new processes for the running stack, except its stores, without a failed request."""

import os
import signal
import time
from collections.abc import Mapping

import rich_click as click

from ops.command_errors import failing_on
from ops.processes.supervisor import RENEWAL_S_MAX
from ops.stack.running import running_stack
from ops.stack.workers import LEAVE_S

_STAYS = frozenset({"supervisor", "postgres", "valkey", "models"})
_PATIENCE_S = RENEWAL_S_MAX + LEAVE_S  # for the next process
_POLL_S = 0.1


class RestartError(Exception):
    """Something was not renewed; the message names it."""


@click.command()
def restart() -> None:
    """Renew the API, the workers and the exporter of the running stack, one after the other.

    A new API or worker process is ready before the old one is asked to leave, which completes its open
    requests. An engine with a model is loaded again after its old process has ended; its jobs wait meanwhile.
    The new processes run the code now on disk. Postgres, Valkey and `codevoice up` itself stay.
    """
    with failing_on(RestartError):
        _restart(os.environ)


def _restart(environ: Mapping[str, str]) -> None:
    before = running_stack(environ).pids
    left = before.keys() - _STAYS
    os.kill(before["supervisor"], signal.SIGUSR1)
    deadline = time.monotonic() + _PATIENCE_S
    while left:
        if time.monotonic() > deadline:
            raise RestartError(f"not renewed: {', '.join(sorted(left))}; see what `codevoice up` said")
        now = running_stack(environ).pids
        for name in sorted(name for name in left if now.get(name, before[name]) != before[name]):
            click.echo(f"codevoice: {name} is renewed", err=True)
            left = left - {name}
            deadline = time.monotonic() + _PATIENCE_S
        time.sleep(_POLL_S)
