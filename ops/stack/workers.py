"""`codevoice worker`: a worker process per engine and device, kept running; USR1 renews them."""

import os
import re
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from signal import SIGTERM, SIGUSR1
from tempfile import TemporaryDirectory

from msgspec import Struct

from db.metrics import FOLDER
from db.settings import DbSettings, SettingsError, read
from ops.processes.program import Program
from ops.processes.signals import Signals, Stop
from ops.processes.supervisor import Supervisor
from workers.engines.registry import CPU_ONLY
from workers.process import devices
from workers.process.exit_codes import Exit
from workers.settings import WorkerSettings

LEAVE_S = 620.0  # for the remaining work of a process being replaced; it ends by itself before that
_GRACE_S = 5.0  # on top of the drain time
_CORES_USED = {"espeak": 16, "whisper": 8, "pocketsphinx": 8}  # by a process; an engine not named uses all
# Only the API and migrations may see these.
NOT_FOR_WORKERS = (
    "CODEVOICE_KEY_PEPPER",
    "CODEVOICE_KEY_ENCRYPTION_KEY",
    "CODEVOICE_JWT_SECRET",
    "CODEVOICE_URL_SECRET",
    "CODEVOICE_DATABASE_OWNER_URL",
)


class WorkerSlot(Struct, frozen=True):
    """The place of a worker process: its engine, its device, and what CUDA shows it."""

    engine: str
    device: str
    visible: str
    number: int = 1  # among those of one engine on one device

    @property
    def name(self) -> str:
        name = re.sub(r"[^\w-]+", "-", f"worker-{self.engine}-{self.device}")
        return name if self.number == 1 else f"{name}-{self.number}"


def worker_slots(engines: str, wanted: str, environ: Mapping[str, str]) -> list[WorkerSlot]:
    """One post for each engine and device; lists are separated by commas.

    If one process of an engine cannot use all of many cores there are more. Without named devices: all
    detected ones, or the CPU if there is none. Some engines run on the CPU in any case. Raises SettingsError.
    """
    on = _list(wanted) or devices.seen(environ) or [devices.CPU]
    names = _list(engines)
    for what, given in (("engine", names), ("device", on)):
        if not given or len(set(given)) < len(given):
            raise SettingsError(f"name each {what} once: {', '.join(given) or 'there is none'}")
    pairs = [pair for name in names for pair in product([name], [devices.CPU] if name in CPU_ONLY else on)]
    return [
        WorkerSlot(engine, device, devices.visible(device, environ), number)
        for engine, device in pairs
        for number in range(1, _processes(engine, device) + 1)
    ]


def _processes(engine: str, device: str) -> int:
    if device != devices.CPU or engine not in _CORES_USED:
        return 1
    return max(1, len(os.sched_getaffinity(0)) // _CORES_USED[engine])


def settings_of(post: WorkerSlot, environ: Mapping[str, str]) -> WorkerSettings:
    """The settings of a post's worker; raises SettingsError."""
    return read(WorkerSettings, {**environ, **_place(post)})


def _place(post: WorkerSlot) -> dict[str, str]:
    # The device's number is one among the visible ones, of which there is now only one.
    return {"CODEVOICE_ENGINE": post.engine, "CODEVOICE_DEVICE": "cuda:0" if post.visible else post.device}


def program(post: WorkerSlot, environ: Mapping[str, str], *, log: Path | None) -> Program:
    """The worker of a post. `environ`: the stores' addresses, and the settings all workers share."""
    kept = {name: value for name, value in environ.items() if name not in NOT_FOR_WORKERS}
    place = _place(post)
    order = {"CUDA_VISIBLE_DEVICES": post.visible, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    settings = settings_of(post, kept)
    return Program(
        name=post.name,
        argv=(sys.executable, "-m", "workers"),
        env={"PYTHONSAFEPATH": "1", **kept, **order, **place},
        log=log,
        is_ready=lambda _: True,
        death_signal=SIGTERM,  # it drains by itself
        grace_s=settings.drain_s + _GRACE_S,
        gives_up=False,
        final=frozenset({Exit.SETTING}),
        planned=frozenset({Exit.DRAINED, Exit.RECYCLED}),
        notifies_ready=True,
        # Two of an engine with a model may exceed the device's memory.
        renewed="beside" if post.engine in CPU_ONLY else "after",
        leave_signal=SIGUSR1,
        leave_s=LEAVE_S,
    )


def run(environ: Mapping[str, str], places: DbSettings, stand: Sequence[WorkerSlot]) -> None:
    """Keep a worker at each post until SIGINT or SIGTERM, then drain all. Raises Hopeless, SettingsError."""
    stores = {
        "DATABASE_URL": places.database_url,
        "REDIS_URL": places.redis_url,
        "CODEVOICE_OBJECTS": places.objects,
    }
    with _metrics_shared(environ) as (shown, hidden), Signals() as signals:
        # One process serves the metrics of all.
        programs = [
            program(post, {**environ, **stores, **(hidden if n else shown)}, log=None)
            for n, post in enumerate(stand)
        ]
        supervisor = Supervisor(signals, report=_say)
        try:
            for post, worker in zip(stand, programs, strict=True):
                _say(f"{post.engine} on {post.device} (CUDA_VISIBLE_DEVICES={post.visible})")
                supervisor.start(worker)
            supervisor.watch()
        except Stop:
            _say("draining")
        finally:
            supervisor.stop()


@contextmanager
def _metrics_shared(environ: Mapping[str, str]) -> Generator[tuple[dict[str, str], dict[str, str]]]:
    """The settings of the process that serves metrics, and of the others; empty if none are served."""
    if not environ.get("CODEVOICE_METRICS_PORT") or environ.get(FOLDER):
        yield {}, {"CODEVOICE_METRICS_PORT": ""}
        return
    with TemporaryDirectory(prefix="codevoice-metrics-") as folder:
        yield {FOLDER: folder}, {FOLDER: folder, "CODEVOICE_METRICS_PORT": ""}


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _say(line: str) -> None:
    print(f"codevoice: {line}", file=sys.stderr, flush=True)
