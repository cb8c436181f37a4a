"""What a runner needs of a kind of work: synthesis (`synthesis.py`) or transcription (`transcription.py`)."""

from collections.abc import Sequence
from typing import Any, Protocol

from db.types import Capabilities, Claimed, Finished, Outcome, Params
from workers.jobs.held import HeldJob, Task


class SlotLimits(Protocol):
    """How many jobs an engine does at a time, and which of them together."""

    @property
    def slots(self) -> int:
        """Jobs it does at the same time."""
        ...

    @property
    def extra_slots(self) -> int:
        """Jobs it can do beyond these, in turns: for accounts without a running job."""
        ...

    @property
    def live_slots(self) -> int:
        """The slots that jobs without a listener may not use."""
        ...

    @property
    def mixed_lanes(self) -> bool:
        """Whether jobs of different lanes may be done at the same time."""
        ...

    @property
    def batched(self) -> bool:
        """Whether a batch, ideally of one lane, costs less than its jobs one by one."""
        ...


class Pipeline(SlotLimits, Protocol):
    """Does jobs of one kind with one engine. One thread at a time calls `begin`; one per row, `work`."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def params(self) -> type[Params]:
        """The type of its jobs' parameters."""
        ...

    @property
    def keep_s(self) -> int:
        """How long its results are kept."""
        ...

    def begin(self, jobs: Sequence[Claimed]) -> Sequence[Task]:
        """Start a batch; returns one task per job, in order."""
        ...

    def work(self, row: HeldJob, task: Any) -> Finished:
        """Do the job to its end; `task` is from `begin`. Raises `Refused`, `Interrupted`, StoreError."""
        ...

    def settled(self, ends: Sequence[Finished]) -> None:
        """Called once these attempts' ends are committed. Raises StoreError."""
        ...

    def close(self) -> None:
        """Stop the engine; idempotent."""
        ...


def ended(job: Claimed, outcome: Outcome, code: str) -> Finished:
    """The result of an attempt that made nothing, and the reason."""
    return Finished(id=job.id, attempt=job.attempt, outcome=outcome, code=code)


def result_key(job: Claimed, ending: str) -> str:
    """The key of an attempt's result. No folder per job: creating one takes longer than writing the file."""
    return f"jobs/{job.id}-{job.attempt}.{ending}"
