"""The faults of a drill: what is done to a running stack, how it is undone, which alerts must fire."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import psycopg
from msgspec import Struct

from ops.bench import fund
from ops.drill.cards import FakeGpu
from ops.drill.site import Load, Site
from ops.stack.running import running_stack

_FROZEN_S = 11.0  # longer than ten seconds, after which a worker counts as lost, and first audio as slow
_SPIKE = 20_000  # credits
_LONG = 8  # jobs running when a worker is killed
_BROKEN_STREAMS = 21
_BREAK_OFF = """SELECT cv.break_off_v2(id, owner, 'api') FROM cv.job WHERE state IN ('queued', 'processing')
  AND params ->> 'text' = 'please slow' ORDER BY created_at DESC LIMIT %(jobs)s"""
_ONCE_MORE = "UPDATE cv.wallet SET paid = paid + %(micro)s, issued = issued + %(micro)s"


class Fault(Struct, frozen=True, kw_only=True):
    """`alerts` fire while it lasts, `afterwards` once it is undone. `passes`: they clear only with time."""

    name: str
    alerts: tuple[str, ...]
    begin: Callable[[], None]
    end: Callable[[], None] = lambda: None
    afterwards: tuple[str, ...] = ()
    passes: bool = False


def faults(site: Site, card: FakeGpu) -> list[list[Fault]]:
    """All faults; those of one list are staged together, the lists one after the other."""
    disk = [_full_disk(site)] if site.has_disk else []
    return [
        [_granted(site), _spent(site)],
        [_tampered(site), _broken_streams(site), _full_card(card), *disk, _strangers(site)],
        [_refusing(site), _breaking(site), _dying(site)],
        [_frozen_workers(site)],
        [_no_postgres(site)],
        [_no_redis(site), _no_objects(site)],
        [_frozen_exporter(site)],
    ]


def short(site: Site, card: FakeGpu) -> list[list[Fault]]:
    """The fastest of each kind: credits, machines, users, stores; all at once."""
    return [[_tampered(site), _full_card(card), _strangers(site), _no_redis(site)]]


def _granted(site: Site) -> Fault:
    return Fault(
        name=f"{_SPIKE} credits are granted",
        alerts=("CodeVoiceCreditsGrantedSpike",),
        begin=lambda: fund(site.stack, credits=_SPIKE),
        passes=True,
    )


def _spent(site: Site) -> Fault:
    def begin() -> None:
        _price(site, str(_SPIKE))
        for _ in range(5):  # the API reads new prices within a second or two
            site.post("Dear.", voice="espeak-ryan")
            time.sleep(0.5)

    return Fault(
        name=f"a job for {_SPIKE} credits",
        alerts=("CodeVoiceCreditsSpentSpike",),
        begin=begin,
        end=lambda: _price(site, "1"),
        passes=True,
    )


def _price(site: Site, credits: str) -> None:
    """Set the price of espeak's speech; the load's engine keeps its price."""
    addresses = {"DATABASE_URL": site.stack.database_url, "REDIS_URL": site.stack.redis_url}
    codevoice = Path(sys.executable).with_name("codevoice")
    command = (
        "prices", "set", "speech", "request", credits, "--engine", "espeak", "--reason", "drill", "--yes",
    )  # fmt: skip
    subprocess.run([codevoice, *command], env={**os.environ, **addresses}, check=True, capture_output=True)


def _tampered(site: Site) -> Fault:
    def add(micro: int) -> None:
        with psycopg.connect(site.stack.database_owner_url, autocommit=True) as owner:
            owner.execute(_ONCE_MORE, {"micro": micro})

    return Fault(
        name="the owner of the database gives everybody 5 credits, past the ledger",
        alerts=("CodeVoiceLedgerWrong",),
        begin=lambda: add(5_000_000),
        end=lambda: add(-5_000_000),
    )


def _broken_streams(site: Site) -> Fault:
    def begin() -> None:
        for _ in range(_BROKEN_STREAMS):
            site.post("please slow")
        with psycopg.connect(site.stack.database_url, autocommit=True) as connection:
            connection.execute(_BREAK_OFF, {"jobs": _BROKEN_STREAMS})

    def end() -> None:
        with psycopg.connect(site.stack.database_owner_url, autocommit=True) as owner:
            owner.execute("DELETE FROM cv.broken_stream")

    return Fault(
        name=f"{_BROKEN_STREAMS} streams of an account are cut off, as the API records it",
        alerts=("CodeVoiceStreamsRefunded",),
        begin=begin,
        end=end,
    )


def _full_card(card: FakeGpu) -> Fault:
    def use(percent: int) -> None:
        card.used = percent

    return Fault(
        name="a GPU (its library is played) has 98 % of its memory in use",
        alerts=("CodeVoiceGpuMemoryFull",),
        begin=lambda: use(98),
        end=lambda: use(40),
    )


def _full_disk(site: Site) -> Fault:
    ballast = site.objects.parent / "ballast"

    def fill() -> None:
        found = os.statvfs(ballast.parent)
        ballast.write_bytes(
            b"\x00" * int(found.f_bavail * found.f_frsize - 0.05 * found.f_blocks * found.f_frsize)
        )

    return Fault(
        name="the objects' disk is filled but for 5 %",
        alerts=("CodeVoiceStoreFull",),
        begin=fill,
        end=ballast.unlink,
    )


def _strangers(site: Site) -> Fault:
    return _loaded(
        "callers with a wrong key",
        "CodeVoiceCallersRefused",
        *(Load(site, "Let me in.", known=False) for _ in range(3)),
    )


def _refusing(site: Site) -> Fault:
    return _loaded("an engine refuses half the texts", "CodeVoiceJobsFailing", Load(site, "please refuse"))


def _breaking(site: Site) -> Fault:
    return _loaded(
        "an engine breaks off", "CodeVoiceAttemptsRepeated", *(Load(site, "please break") for _ in range(2))
    )


def _loaded(name: str, alert: str, *loads: Load) -> Fault:
    def begin() -> None:
        for load in loads:
            load.start()

    def end() -> None:
        for load in loads:
            load.stop()

    return Fault(name=name, alerts=(alert,), begin=begin, end=end)


def _dying(site: Site) -> Fault:
    def begin() -> None:
        for _ in range(_LONG):
            site.post("please slow")
        _signal(site, SIGKILL, "worker")

    return Fault(
        name=f"a worker is killed at work on {_LONG} jobs", alerts=("CodeVoiceWorkersDying",), begin=begin
    )


def _frozen_workers(site: Site) -> Fault:
    def begin() -> None:
        _signal(site, SIGSTOP, "worker")
        began = time.monotonic()
        while time.monotonic() < began + _FROZEN_S:
            site.post("Is anybody there?")
            time.sleep(0.2)

    return Fault(
        name=f"all workers stand still for {_FROZEN_S:g} s and more",
        alerts=("CodeVoiceQueueOld", "CodeVoiceNoWorker"),
        begin=begin,
        end=lambda: _signal(site, SIGCONT, "worker"),
        afterwards=("CodeVoiceFirstAudioSlow",),
    )


def _no_postgres(site: Site) -> Fault:
    return Fault(
        name="Postgres is stopped",
        alerts=("CodeVoicePartAway", "CodeVoiceServerErrors", "CodeVoiceLedgerUnchecked"),
        begin=site.postgres.down,
        end=site.postgres.up,
    )


def _no_redis(site: Site) -> Fault:
    return Fault(
        name="Valkey is stopped", alerts=("CodeVoicePartAway",), begin=site.valkey.down, end=site.valkey.up
    )


def _no_objects(site: Site) -> Fault:
    away = site.objects.with_name("away")

    def begin() -> None:
        site.objects.rename(away)
        site.objects.touch()

    def end() -> None:
        site.objects.unlink()
        away.rename(site.objects)

    return Fault(
        name="the objects' folder is a file", alerts=("CodeVoiceStoreFailing",), begin=begin, end=end
    )


def _frozen_exporter(site: Site) -> Fault:
    return Fault(
        name="the exporter stands still",
        alerts=("CodeVoiceNotScraped",),
        begin=lambda: _signal(site, SIGSTOP, "exporter"),
        end=lambda: _signal(site, SIGCONT, "exporter"),
    )


def _signal(site: Site, number: int, prefix: str) -> None:
    """Send a signal to every process of the stack whose name begins with `prefix`."""
    for name, pid in running_stack({"CODEVOICE_HOME": str(site.home)}).pids.items():
        if name.startswith(prefix):
            os.kill(pid, number)
