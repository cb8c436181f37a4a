"""The exporter's collectors: each function returns a callable that one thread runs repeatedly."""

import asyncio
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from redis import Redis

from db.postgres.jobs_worker import Way
from db.postgres.queries import query
from db.settings import DbSettings
from db.storage.disk import StoreDisk
from db.storage.disk_floor import Disk
from db.storage.objects import StoreError, open_store
from db.types import MICRO
from workers.jobs.connection import WorkerLink

__all__ = ["StoreError", "credits", "gpus", "imbalance", "ledger", "objects", "queues", "redis", "refunds"]

_WALLETS = 1000  # per statement
Collect = Callable[[], Sequence[Metric]]


def queues(link: WorkerLink) -> Collect:
    """Per engine: jobs waiting, the oldest one's age, jobs being processed, workers present."""

    def see() -> Sequence[Metric]:
        depth = _gauge("codevoice_queue_depth_jobs", "Jobs that wait.", "queue")
        age = _gauge("codevoice_queue_oldest_job_age_seconds", "Age of the oldest that waits.", "queue")
        working = _gauge("codevoice_jobs_processing", "Jobs at work.", "queue")
        workers = _gauge("codevoice_workers", "Workers seen within the last ten seconds.", "queue")
        families = depth, age, working, workers
        for name, *values in link.run(_rows, "queues"):
            for family, value in zip(families, values, strict=True):
                family.add_metric([name], value)
        return families

    return see


def credits(link: WorkerLink) -> Collect:
    """Current credits, and how many were issued and spent since the first run.

    Net of refunds between two runs. Counted from zero at each start, as counters are: a falling sum (after a
    refund) would be read as a restart.
    """
    last: dict[str, int] = {}
    grown = {"issued": 0, "spent": 0}

    def see() -> Sequence[Metric]:
        [(issued, spent, free, paid, held)] = link.run(_rows, "credit_totals")
        for name, now in (("issued", issued), ("spent", spent)):
            grown[name] += max(0, now - last.get(name, now))
            last[name] = now
        there = _gauge("codevoice_credits", "Credits of all accounts.", "bucket")
        for bucket, micro in (("free", free), ("paid", paid), ("held", held)):
            there.add_metric([bucket], micro / MICRO)
        granted = CounterMetricFamily("codevoice_credits_granted", "Credits issued, monthly ones too.")
        granted.add_metric([], grown["issued"] / MICRO)
        used = CounterMetricFamily("codevoice_credits_spent", "Credits paid for work done.")
        used.add_metric([], grown["spent"] / MICRO)
        return there, granted, used

    return see


def refunds(link: WorkerLink) -> Collect:
    """How many streams were cut off and refunded today, of all accounts and of the one with the most."""

    def see() -> Sequence[Metric]:
        [(streams, most)] = link.run(_rows, "broken_streams_today")
        return (
            _value("codevoice_streams_refunded_today", "Streams cut off and refunded today (UTC).", streams),
            _value("codevoice_streams_refunded_today_max", "The same, of the account with the most.", most),
        )

    return see


def ledger(link: WorkerLink) -> Collect:
    """Whether wallets, transfers and jobs agree: page by page, from each wallet's last checkpoint on."""

    def see() -> Sequence[Metric]:
        defects = len(link.run(_rows, "guards_down"))
        after, page = None, [(None,)]
        while page:
            defects += len(link.run(_rows, "defects_since_checkpoint", after, _WALLETS))
            page = link.run(_rows, "last_of_wallets", after, _WALLETS)
            after = page[0][0] if page else None
        return (
            _value("codevoice_ledger_defects", "What an audit finds wrong.", defects),
            _value("codevoice_ledger_audit_timestamp_seconds", "When that was looked at.", time.time()),
        )

    return see


def imbalance(link: WorkerLink) -> Collect:
    """The difference between the sums of wallets and transfers, from one scan of every transfer."""

    def see() -> Sequence[Metric]:
        [(micro,)] = link.run(_rows, "ledger_imbalance")
        help_text = "By how much all wallets differ from all transfers."
        return [_value("codevoice_ledger_imbalance_credits", help_text, micro / MICRO)]

    return see


def redis(redis_url: str) -> Collect:
    """Whether Redis answers."""
    client = Redis.from_url(redis_url, socket_timeout=1, socket_connect_timeout=1)

    def see() -> Sequence[Metric]:
        client.ping()
        return ()

    return see


def objects(places: DbSettings) -> Collect:
    """Whether the store answers; for a folder, how full its disk is. Raises StoreError for a wrong URL."""
    store, disk = open_store(places.objects), StoreDisk(places)

    def see() -> Sequence[Metric]:
        asyncio.run(store.check())
        return _disk(disk.measure())

    return see


def gpus(nvml: Any = None) -> Collect | None:
    """Memory and use of each GPU; None without a driver."""
    nvml = nvml or import_module("pynvml")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None

    def see() -> Sequence[Metric]:
        used = _gauge("codevoice_gpu_memory_used_bytes", "Memory in use.", "device")
        total = _gauge("codevoice_gpu_memory_total_bytes", "Memory there is.", "device")
        busy = _gauge("codevoice_gpu_utilization_ratio", "Part of the time that a kernel ran.", "device")
        for n in range(nvml.nvmlDeviceGetCount()):
            device = nvml.nvmlDeviceGetHandleByIndex(n)
            memory = nvml.nvmlDeviceGetMemoryInfo(device)
            used.add_metric([str(n)], memory.used)
            total.add_metric([str(n)], memory.total)
            try:
                busy.add_metric([str(n)], nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100)
            except nvml.NVMLError_NotSupported:  # a partitioned GPU
                continue
        return used, total, busy

    return see


def _disk(found: Disk | None) -> Sequence[Metric]:
    if found is None:
        return ()
    floor = "Free space on the store's disk below which no job is taken."
    return (
        _value("codevoice_store_free_bytes", "Free on the store's disk.", found.free_bytes),
        _value("codevoice_store_size_bytes", "Size of the store's disk.", found.size_bytes),
        _value("codevoice_store_floor_bytes", floor, found.floor_bytes),
    )


def _rows(connection: Way, name: str, *given: Any) -> list[tuple[Any, ...]]:
    return connection.execute(query(name), given).fetchall()


def _gauge(name: str, help_text: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, labels=[label])


def _value(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value=value)
