"""A runner on a real Postgres, Redis and folder, with an engine that does as it is told."""

import queue
import threading
import uuid
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from db.objects import Objects, open_store
from db.rows import Capabilities, Voice
from tests.records import submit, wallet, worker
from workers.connections import Link
from workers.engines import Interrupted, Refused, Speech, Utterance
from workers.keeper import Keeper
from workers.runner import Runner
from workers.settings import WorkerSettings
from workers.speaking import Speaking
from workers.timer import Timer

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
    """Speaks what its text orders: `say N` samples, `hang`, `refuse`, `break`, `nothing`."""

    def __init__(self, utterance: Utterance, begun: "queue.Queue[str]") -> None:
        self._order = utterance.text
        self._begun = begun
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        self._begun.put(self._order)
        match self._order.split():
            case ["say", samples]:
                yield b"\x01\x00" * int(samples)
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

    def close(self) -> None:
        self.closed.set()


class ObedientEngine:
    """An engine for one voice at a time, with a few slots. `begun` tells what it was asked, in order."""

    slots = 4
    mixed_lanes = True

    def __init__(self) -> None:
        self.begun: queue.Queue[str] = queue.Queue()
        self.batches: list[int] = []
        self.capabilities = Capabilities(
            engine="espeak",
            kind="speech",
            voices=(VOICE,),
            sample_rate_hz=1000,
            formats=("wav",),
            characters_max=1000,
            cost_us_per_character=1,
        )

    def begin(self, batch: Sequence[Utterance]) -> Sequence[Speech]:
        self.batches.append(len(batch))
        return [ObedientSpeech(utterance, self.begun) for utterance in batch]

    def close(self) -> None: ...


class Room:
    """A worker without its process: runner and timer, started by hand."""

    def __init__(self, url: str, store: Objects, settings: WorkerSettings) -> None:
        self.engine = ObedientEngine()
        self.store = store
        name = f"room-{uuid.uuid4().hex[:6]}"
        links = partial(Link, url)
        craft = Speaking(self.engine, store, settings)
        self.runner = Runner(craft, store, settings, links, name)
        self.name = name
        self.keeper = Keeper(self.runner.rows, links("keeper"), worker=name, lease_s=settings.lease_s)
        self.timer = Timer(self.runner, craft, store, settings, links("timer"), name)

    def start(self) -> None:
        """As the worker's main does."""
        self.timer.start(threading.Event())
        self.keeper.start()

    def close(self) -> None:
        self.runner.stop(drain_s=0)
        self.timer.stop()
        self.keeper.stop()


SETTINGS = WorkerSettings(engine="espeak", sweep_s=0.1, lease_s=1.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def room(database: tuple[str, str], folder: Path) -> Generator[Room]:
    made = Room(database[1], open_store(folder.as_uri()), SETTINGS)
    yield made
    made.close()
