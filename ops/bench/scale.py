"""What more API processes bring on this machine: jobs a second with 1, 2 … of them, in turns.

All processes of one group accept from one socket, as under `codevoice up --api-processes`. Each ratio is the
median of the rounds' own, with its minimum and maximum. Fails if any response was not 200, or if the audit
finds a defect afterwards.
"""

import os
import statistics
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager

from ops.bench import BenchError, Figures, spread
from ops.bench.harness.environment import Environment, ask, audited, environment, post
from ops.processes.listener import Listener, listening
from ops.processes.signals import Signals
from ops.processes.supervisor import Crashed, Supervisor
from ops.stack import api_processes

CONNECTIONS = 64
_READY_S = 60.0


def scale(processes: Sequence[int], *, rounds: int = 15, seconds: float = 1.3) -> Figures:
    """Rates for each number of processes, and their ratio to the first; raises BenchError."""
    with environment(()) as place, ExitStack() as groups:
        ports = {count: groups.enter_context(_group(place, count)) for count in processes}
        requests = [post(key) for key in place.keys]

        def rate(count: int, seconds: float) -> float:
            done = ask(ports[count], requests, seconds=seconds, connections=CONNECTIONS)
            return done.done / done.seconds

        for count in processes:
            rate(count, seconds)  # warms caches, plans and connections
        rates = {count: list[float]() for count in processes}
        for number in range(rounds):
            for count in processes if number % 2 == 0 else reversed(processes):
                rates[count].append(rate(count, seconds))
        audited(place.app_url)
    return _figures(rates) | {"rounds": rounds, "load_average": os.getloadavg()[0], "errors": 0}


def _figures(rates: dict[int, list[float]]) -> Figures:
    first, *others = rates
    figures: Figures = {f"post_per_s_{count}": statistics.median(seen) for count, seen in rates.items()}
    for count in others:
        ratios = [more / one for more, one in zip(rates[count], rates[first], strict=True)]
        figures |= spread(f"post_{count}_vs_{first}", ratios)
    return figures


@contextmanager
def _group(place: Environment, count: int) -> Generator[int]:
    """Run so many processes on one port during the block; yields the port."""
    names = api_processes.names(count)
    logs = {name: place.folder / f"{count}-{name}.log" for name in names}
    with Signals() as signals, listening({"CODEVOICE_PORT": "0"}) as listener:
        supervisor = Supervisor(signals)
        try:
            for program in api_processes.programs(count, place.environ, listener, logs, wave=0):
                supervisor.start(program)
            for name in names:
                supervisor.wait_ready(name, seconds=_READY_S)
            yield _port(listener)
        except Crashed as error:
            raise BenchError(str(error)) from None
        finally:
            supervisor.stop()


def _port(listener: Listener) -> int:
    return int(listener.url.rpartition(":")[2])
