"""The exporter exposes current values, and nothing that it can no longer read."""

import threading
import time
from collections.abc import Generator, Sequence
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily

from db.postgres import jobs_worker
from db.postgres.jobs_worker import WorkerConnection
from db.settings import DbSettings
from db.types import Capabilities
from ops import collectors
from ops.exporter import ExportedPart, Exporter, pause_s
from tests.ops.conftest import Job, Owner, RunJson
from workers.jobs.connection import WorkerLink


def values(seen: Sequence[Metric]) -> dict[str, float]:
    """`name{label}` → value, whatever the label is called."""
    samples = [sample for family in seen for sample in family.samples]
    return {f"{s.name}{{{','.join(s.labels.values())}}}": s.value for s in samples}


@pytest.fixture
def link(database: tuple[str, str]) -> Generator[WorkerLink]:
    made = WorkerLink(database[1], "exporter")
    yield made
    made.close()


ESPEAK = Capabilities(
    engine="espeak",
    kind="speech",
    voices=(),
    sample_rate_hz=22_050,
    formats=("wav",),
    characters_max=100,
    cost_us_per_character=1,
)


def test_queue_metrics_count_waiting_and_running_jobs(
    link: WorkerLink, job: Job, worker: WorkerConnection, owner: Owner
) -> None:
    see = collectors.queues(link)
    assert see()[0].samples == []
    job(None)
    owner.execute("UPDATE cv.job SET created_at = created_at - interval '100 s'")
    nobody = values(see())
    assert 100 < nobody.pop("codevoice_queue_oldest_job_age_seconds{espeak}") < 160
    assert nobody == {
        "codevoice_queue_depth_jobs{espeak}": 1,
        "codevoice_jobs_processing{espeak}": 0,
        "codevoice_workers{espeak}": 0,
    }
    jobs_worker.publish(worker, ESPEAK, worker="w")
    jobs_worker.claim(worker, engine="espeak", lane=None, mixed=True, limit=9, worker="w", lease_s=10)
    assert values(see()) == {
        "codevoice_queue_depth_jobs{espeak}": 0,
        "codevoice_queue_oldest_job_age_seconds{espeak}": 0,
        "codevoice_jobs_processing{espeak}": 1,
        "codevoice_workers{espeak}": 1,
    }
    jobs_worker.retire(worker, engine="espeak", worker="w")
    assert values(see())["codevoice_workers{espeak}"] == 0


def test_credit_counters_count_from_the_first_collection(
    link: WorkerLink, job: Job, run_json: RunJson, ann: str
) -> None:
    see = collectors.credits(link)
    see()
    run_json("credits", "grant", ann, "10", "--reason", "test", "--yes")
    done = job("done")
    assert values(see()) == {
        "codevoice_credits{free}": 59,
        "codevoice_credits{paid}": 10,
        "codevoice_credits{held}": 0,
        "codevoice_credits_granted_total{}": 10,
        "codevoice_credits_spent_total{}": 1,
    }
    run_json("credits", "refund", done, "--reason", "test", "--yes")
    job(None)
    after = values(see())  # a refund is no spending undone: counters never fall
    assert (after["codevoice_credits_spent_total{}"], after["codevoice_credits{held}"]) == (1, 1)


def test_a_ledger_out_of_balance_is_exposed(link: WorkerLink, job: Job, owner: Owner) -> None:
    job("done")

    def see() -> list[Metric]:
        return [*collectors.ledger(link)(), *collectors.imbalance(link)()]

    clean = values(see())
    assert clean.pop("codevoice_ledger_audit_timestamp_seconds{}") > 1e9
    assert set(clean.values()) == {0}
    owner.execute("UPDATE cv.wallet SET paid = paid + 5000000, issued = issued + 5000000")
    wrong = values(see())
    assert wrong["codevoice_ledger_defects{}"] >= 1
    assert wrong["codevoice_ledger_imbalance_credits{}"] == 10  # 5 too many, from nowhere
    owner.execute("ALTER TABLE cv.transfer DISABLE TRIGGER append_only_rows")
    assert values(see())["codevoice_ledger_defects{}"] == wrong["codevoice_ledger_defects{}"] + 1


def test_a_full_folder_has_metrics_and_a_lost_one_is_an_error(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("objects")
    places = DbSettings(database_url="", redis_url="", objects=folder.as_uri())
    see = collectors.objects(places)
    found = values(see())
    assert 0 < found["codevoice_store_free_bytes{}"] <= found["codevoice_store_size_bytes{}"]
    floor = max(1 << 30, 0.05 * found["codevoice_store_size_bytes{}"])
    assert found["codevoice_store_floor_bytes{}"] == pytest.approx(floor)
    folder.rmdir()
    with pytest.raises(collectors.StoreError):
        see()


def test_metrics_of_an_unavailable_part_are_not_exposed() -> None:
    is_there = [True]

    def see() -> Sequence[Metric]:
        if not is_there[0]:
            raise psycopg.OperationalError
        return [Metric("codevoice_x", "", "gauge")]

    look = ExportedPart("postgres", 1, see)
    exporter = Exporter([look])
    registry = CollectorRegistry()
    registry.register(exporter)
    exporter.collect_once(look)
    assert [family.name for family in exporter.collect()] == ["codevoice_part_up", "codevoice_x"]
    is_there[0] = False
    exporter.collect_once(look)
    assert [family.name for family in exporter.collect()] == ["codevoice_part_up"]
    assert registry.get_sample_value("codevoice_part_up", {"part": "postgres"}) == 0


def test_a_slow_collector_runs_less_often() -> None:
    assert [pause_s(60, took) for took in (0.1, 3, 10)] == [60, 60, 200]


class Cards:
    """A driver with two cards, of which the second is cut in slices."""

    class NVMLError(Exception): ...

    class NVMLError_NotSupported(NVMLError): ...

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, n: int) -> int:
        return n

    def nvmlDeviceGetMemoryInfo(self, device: int) -> Any:
        return SimpleNamespace(used=10 + device, total=100)

    def nvmlDeviceGetUtilizationRates(self, device: int) -> Any:
        if device == 1:
            raise self.NVMLError_NotSupported
        return SimpleNamespace(gpu=25)


def test_each_gpu_is_shown_by_its_number() -> None:
    see = collectors.gpus(Cards())
    assert see is not None
    assert values(see()) == {
        "codevoice_gpu_memory_used_bytes{0}": 10,
        "codevoice_gpu_memory_used_bytes{1}": 11,
        "codevoice_gpu_memory_total_bytes{0}": 100,
        "codevoice_gpu_memory_total_bytes{1}": 100,
        "codevoice_gpu_utilization_ratio{0}": 0.25,
    }


def test_without_a_driver_there_are_no_gpus() -> None:
    class NoDriver(Cards):
        def nvmlInit(self) -> None:
            raise self.NVMLError

    assert collectors.gpus(NoDriver()) is None


def test_metrics_of_a_hanging_collector_are_not_exposed() -> None:
    frozen, thawed = threading.Event(), threading.Event()

    def see() -> Sequence[Metric]:
        if frozen.is_set():
            thawed.wait(60)
        return [GaugeMetricFamily("codevoice_seen", "", value=1)]

    look = ExportedPart("postgres", 0.02, see)
    exporter = Exporter([look])
    exporter.collect_once(look)
    before = values(list(exporter.collect()))
    frozen.set()
    looking = threading.Thread(target=exporter.collect_once, args=(look,))
    looking.start()
    deadline = time.monotonic() + 60
    while (meanwhile := values(list(exporter.collect()))) == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    thawed.set()
    looking.join()

    assert before == {"codevoice_part_up{postgres}": 1, "codevoice_seen{}": 1}
    assert meanwhile == {"codevoice_part_up{postgres}": 0}
    assert values(list(exporter.collect())) == before
