"""What a runner needs of a kind of work: speaking (`synthesis.py`), or transcribing (`transcription.py`)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from db.types import Capabilities, Claimed, Finished, Outcome, Params

if TYPE_CHECKING:
    from db.storage.objects import Objects
    from workers.engines import Engine
    from workers.engines.transcriber import Transcriber
    from workers.jobs.held import HeldJob
    from workers.pipelines.live_publisher import LiveAudioPublisher
    from workers.settings import WorkerSettings


class Task(Protocol):
    """One job under way."""

    def close(self) -> None:
        """Stop, from any thread, at once; harmless when over. Whoever works on it raises `Interrupted`."""
        ...


class Pipeline(Protocol):
    """Does jobs of one kind with one engine. One thread at a time calls `begin`; each row's own, `work`."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def params(self) -> type[Params]:
        """What its jobs have."""
        ...

    @property
    def slots(self) -> int:
        """Jobs it does at once."""
        ...

    @property
    def extra_slots(self) -> int:
        """Jobs it can do beyond these, in turns: for accounts of whom it does none."""
        ...

    @property
    def live_slots(self) -> int:
        """Of those, how many jobs that nobody listens to may not have."""
        ...

    @property
    def mixed_lanes(self) -> bool:
        """Whether jobs of different lanes may be done at once."""
        ...

    @property
    def batched(self) -> bool:
        """Whether jobs begun together, best of one lane, cost less than one by one."""
        ...

    @property
    def keep_s(self) -> int:
        """How long what it makes is kept."""
        ...

    def begin(self, jobs: Sequence[Claimed]) -> Sequence[Task]:
        """Start a batch; one task for each job, in order."""
        ...

    def work(self, row: "HeldJob", task: Any) -> Finished:
        """Do the job to its end; the task is one of its own. Raises `Refused`, `Interrupted`, StoreError."""
        ...

    def settled(self, ends: Sequence[Finished]) -> None:
        """These attempts are over and written down. Raises StoreError."""
        ...

    def close(self) -> None:
        """Stop the engine; idempotent."""
        ...


def open_pipeline(
    engine: "Engine | Transcriber", store: "Objects", settings: "WorkerSettings", airing: "LiveAudioPublisher"
) -> Pipeline:
    """The engine at work on jobs of its kind."""
    from workers.audio import encoder
    from workers.engines.transcriber import Transcriber
    from workers.pipelines.synthesis import SynthesisPipeline
    from workers.pipelines.transcription import TranscriptionPipeline

    if isinstance(engine, Transcriber):
        return TranscriptionPipeline(engine, store, settings)
    encoder.warm_up()
    return SynthesisPipeline(engine, store, settings, airing)


def ended(job: Claimed, outcome: Outcome, code: str) -> Finished:
    """An attempt that came to nothing, and why."""
    return Finished(id=job.id, attempt=job.attempt, outcome=outcome, code=code)


def result_key(job: Claimed, ending: str) -> str:
    """The object of what an attempt makes. No folder for each job: to make one takes longer than the file."""
    return f"jobs/{job.id}-{job.attempt}.{ending}"
