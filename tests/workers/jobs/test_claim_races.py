"""Wake-ups, claims and commits of results at the same time: no job is forgotten, and no slot taken twice."""

import sys
import threading
import time
import uuid
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from db.postgres import jobs_worker
from db.storage.objects import open_store
from db.types import Claimed, SpeechParams
from tests.workers.conftest import SETTINGS, LocalWorker, ObedientEngine
from workers.jobs import slot_allocator
from workers.jobs.connection import WorkerLink

_THREADS, _JOBS_EACH, _BURSTS = 4, 2, 60
_REPLY_S = 0.001  # how long a statement's reply takes
_PATIENCE_S = 10


class FakeQueue(WorkerLink):
    """Jobs in memory, for both connections of a runner."""

    def __init__(self) -> None:
        super().__init__("", "")
        self.worker: LocalWorker | None = None
        self.waiting: list[Claimed] = []
        self.done: list[uuid.UUID] = []
        self.most_at_work = 0
        self.commits = threading.Event()
        self.commits.set()
        self._alone = threading.Lock()

    def run(self, function: Any, *args: Any, **named: Any) -> Any:
        if function is jobs_worker.finish_and_claim:
            assert self.commits.wait(_PATIENCE_S)
            self.done += [end.id for end in args[0]]
            return {(end.id, end.attempt): "completed" for end in args[0]}, self._take(named["limit"])
        wanted = function.keywords
        return self._take(named["limit"], lane=wanted["lane"], mixed=wanted["mixed"])

    def _take(self, limit: int, *, lane: str | None = None, mixed: bool = True) -> list[Claimed]:
        with self._alone:
            if self.waiting and not mixed:
                lane = lane or self.waiting[0].lane
            jobs = [job for job in self.waiting if lane in (None, job.lane)][:limit]
            self.waiting = [job for job in self.waiting if job not in jobs]
        time.sleep(_REPLY_S)
        return jobs

    def count_rows(self) -> None:
        """Record how many slots are taken when jobs begin."""
        assert self.worker is not None
        self.most_at_work = max(self.most_at_work, len(self.worker.runner.rows.working()))

    def send(self, jobs: int) -> None:
        """Queue jobs, and wake the worker after each."""
        assert self.worker is not None
        for number in range(jobs):
            self.add(number)
            self.worker.runner.claims.claim_available()

    def add(self, number: int) -> None:
        """Queue a job without waking the worker."""
        params = SpeechParams(text="say 1", voice="ryan", language="en-US")
        job = uuid.uuid4()
        with self._alone:
            self.waiting.append(Claimed(id=job, attempt=1, owner=job, lane="ab"[number % 2], params=params))


@pytest.fixture(params=["plain", "batched", "batched one lane at a time"])
def fake_queue(
    request: pytest.FixtureRequest, redis_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[FakeQueue]:
    monkeypatch.setattr(ObedientEngine, "batched", request.param != "plain")
    monkeypatch.setattr(ObedientEngine, "mixed_lanes", "one lane" not in request.param)
    monkeypatch.setattr(slot_allocator, "_STUCK_S", 60.0)  # a slow machine is no stuck commit
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    queue = FakeQueue()
    worker = queue.worker = LocalWorker(
        "", redis_url, open_store(folder.as_uri()), SETTINGS, lambda _url, _name: queue
    )
    worker.engine.before_begin = queue.count_rows
    yield queue
    sys.setswitchinterval(usual)
    worker.runner.stop(drain_s=0)
    worker.publisher.stop()


def test_every_job_is_claimed_without_maintenance_and_no_slot_is_taken_twice(fake_queue: FakeQueue) -> None:
    with ThreadPoolExecutor(_THREADS) as threads:
        for burst in range(1, _BURSTS + 1):
            list(threads.map(fake_queue.send, [_JOBS_EACH] * _THREADS))
            deadline = time.monotonic() + _PATIENCE_S
            while len(fake_queue.done) < burst * _JOBS_EACH * _THREADS and time.monotonic() < deadline:
                time.sleep(0.001)
            assert len(fake_queue.done) == len(set(fake_queue.done)) == burst * _JOBS_EACH * _THREADS
    assert fake_queue.most_at_work <= ObedientEngine.slots


@pytest.mark.parametrize("fake_queue", ["batched"], indirect=True)
def test_an_engine_that_batches_gets_jobs_while_results_are_committed(fake_queue: FakeQueue) -> None:
    fake_queue.commits.clear()
    for number in range(4 * ObedientEngine.slots):
        fake_queue.add(number)
    assert fake_queue.worker is not None
    fake_queue.worker.runner.claims.claim_available()

    deadline = time.monotonic() + _PATIENCE_S
    while fake_queue.waiting and time.monotonic() < deadline:
        time.sleep(0.001)
    left, ended = len(fake_queue.waiting), len(fake_queue.done)
    fake_queue.commits.set()

    assert (left, ended) == (0, 0)
