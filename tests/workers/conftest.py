"""A worker in the test process on a real Postgres, Redis and folder, with a scripted engine."""

import queue
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from db.formats import FORMATS
from db.redis.live_audio import connect
from db.storage.objects import Objects, open_store
from db.types import Capabilities, Voice
from tests.records import submit, wallet, worker
from workers.engines.protocol import Interrupted, Refused, Synthesis, Utterance
from workers.jobs.connection import WorkerLink
from workers.jobs.control_channel import ControlChannel
from workers.jobs.lease_renewer import LeaseRenewer
from workers.jobs.maintenance import Maintenance
from workers.jobs.runner import Runner
from workers.pipelines.live_publisher import LiveAudioPublisher
from workers.pipelines.synthesis import SynthesisPipeline
from workers.settings import WorkerSettings

__all__ = ["submit", "wallet", "worker"]

VOICE = Voice(
    id="ryan",
    name="ryan",
    gender="male",
    languages=("en-US",),
    language_names=("English",),
    description="obeys",
    quality="low",
)


class ObedientSpeech:
    """Speaks as its text orders: `say N` samples, `steps N M` (M samples, N times, each when the engine's
    `steps` has a token), `hang`, `refuse`, `break`, `nothing`.
    """

    def __init__(self, utterance: Utterance, begun: "queue.Queue[str]", steps: "queue.Queue[str]") -> None:
        self._order = utterance.text
        self._begun = begun
        self._steps = steps
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        self._begun.put(self._order)
        match self._order.split():
            case ["say", samples]:
                yield b"\x01\x00" * int(samples)
            case ["steps", times, samples]:
                for _ in range(int(times)):
                    self._await_step()
                    yield self._noise(int(samples))
            case ["hang"]:
                yield b"\x01\x00"
                assert self.closed.wait(20)
                raise Interrupted
            case ["refuse"]:
                raise Refused("unspeakable")
            case ["break"]:
                raise Interrupted
            case ["nothing"]:
                return
            case _:
                raise AssertionError(self._order)

    def _await_step(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not self.closed.is_set():
            with suppress(queue.Empty):
                if self._steps.get(timeout=0.02) == "go":
                    return
                break
        raise Interrupted

    def _noise(self, samples: int) -> bytes:
        return np.random.default_rng(samples).integers(-9000, 9000, samples, dtype="<i2").tobytes()

    def close(self) -> None:
        self.closed.set()


class ObedientEngine:
    """An engine for one voice at a time, with a few slots. `begun` has the texts it began, in order."""

    slots = 4
    mixed_lanes = True
    batched = False

    def __init__(self) -> None:
        self.begun: queue.Queue[str] = queue.Queue()
        self.before_begin: Callable[[], None] = lambda: None
        self.steps: queue.Queue[str] = queue.Queue()  # "go", or anything else: break off
        self.batches: list[int] = []
        self.requested: list[str] = []
        self.speeches: list[ObedientSpeech] = []
        self.capabilities = Capabilities(
            engine="espeak",
            kind="speech",
            voices=(VOICE,),
            sample_rate_hz=1000,
            formats=tuple(FORMATS),
            characters_max=1000,
            cost_us_per_character=1,
        )

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Synthesis]:
        self.before_begin()
        self.batches.append(len(batch))
        self.requested += [utterance.text for utterance in batch]
        speeches = [ObedientSpeech(utterance, self.begun, self.steps) for utterance in batch]
        self.speeches += speeches
        return speeches

    def close(self) -> None: ...


class LocalWorker:
    """A worker in the test process: runner, maintenance and lease renewal, started by hand."""

    def __init__(
        self,
        url: str,
        redis_url: str,
        store: Objects,
        settings: WorkerSettings,
        link: Callable[[str, str], WorkerLink] = WorkerLink,
    ) -> None:
        self.engine = ObedientEngine()
        self.store = store
        name = f"worker-{uuid.uuid4().hex[:6]}"
        links = partial(link, url)
        self.publisher = LiveAudioPublisher(
            connect(redis_url), keep_s=settings.live_keep_s, audio_bytes_max=settings.live_bytes_max
        )
        pipeline = SynthesisPipeline(self.engine, store, settings, self.publisher)
        self.runner = Runner(pipeline, store, settings, links, name, self.publisher)
        self.name = name
        self.lease_renewer = LeaseRenewer(
            self.runner.rows, links("keeper"), worker=name, lease_s=settings.lease_s
        )
        self.timer = Maintenance(self.runner, pipeline, store, settings, links("timer"), name, self.publisher)
        self.calls = ControlChannel(connect(redis_url), self.runner.rows)

    def start(self) -> None:
        """As the worker's main does."""
        self.publisher.start()
        self.timer.start(threading.Event())
        self.lease_renewer.start()
        self.calls.start()

    def close(self) -> None:
        self.runner.stop(drain_s=0)
        self.timer.stop()
        self.lease_renewer.stop()
        self.calls.stop()
        self.publisher.stop()


SETTINGS = WorkerSettings(engine="espeak", sweep_s=0.1, lease_s=10.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def local_worker(database: tuple[str, str], redis_url: str, folder: Path) -> Generator[LocalWorker]:
    made = LocalWorker(database[1], redis_url, open_store(folder.as_uri()), SETTINGS)
    yield made
    made.close()
