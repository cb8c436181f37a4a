"""The workers' metrics: how long jobs wait, how fast engines speak, how attempts end."""

import time
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import Counter, Gauge, Histogram

from db.metrics import JOB_ENDS, JOBS, LATENCY_S, STORE_FAILURES
from db.types import Finished
from workers.jobs.held import HeldJob

_QUEUE_WAIT = Histogram(
    "codevoice_job_queue_wait_seconds",
    "From a job's arrival to its first attempt.",
    ["engine"],
    buckets=LATENCY_S,
)
_FIRST_AUDIO = Histogram(
    "codevoice_time_to_first_audio_seconds",
    "From a job's arrival to the first of its audio, queue and lost attempts included.",
    ["engine"],
    buckets=LATENCY_S,
)
_SYNTHESIS = Histogram(
    "codevoice_synthesis_seconds",
    "An engine's work on an attempt: of speech, from its claim to the last of its audio.",
    ["engine"],
    buckets=LATENCY_S,
)
_REALTIME_FACTOR = Histogram(
    "codevoice_realtime_factor",
    "Seconds of synthesis a second of audio.",
    ["engine"],
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2),
)
_AUDIO = Counter("codevoice_audio_seconds", "Audio of completed jobs.", ["engine"])
_BATCH = Histogram(
    "codevoice_batch_size", "Rows at work when some were begun.", ["engine"], buckets=(1, 2, 4, 8, 16, 32)
)
_BATCH_VOICES = Histogram(
    "codevoice_batch_voices",
    "Voices (or other lanes) of the rows at work when some were begun.",
    ["engine"],
    buckets=(1, 2, 3, 4, 6, 8, 16, 32),
)
_ATTEMPTS = Counter(
    "codevoice_job_attempts",
    "Attempts that ended: done, retry, refuse, hand_back, or fenced where another worker had taken over.",
    ["engine", "outcome"],
)
_LEASES_LOST = Counter("codevoice_job_leases_lost", "Attempts of workers that fell silent.", ["engine"])
_BEATS_FAILED = Counter("codevoice_worker_beats_failed", "Steps of the timer that failed.", ["step"])
_SLOTS = Gauge(
    "codevoice_worker_slots",
    "Rows this machine's workers can speak at once.",
    ["engine"],
    multiprocess_mode="livesum",
)
_OUTCOMES = ("done", "retry", "refuse", "hand_back", "fenced")


def ready(engine: str, kind: str, slots: int) -> None:
    """Count a loaded engine, and set its event counters to zero: the first event must show as a rise."""
    for status in JOB_ENDS:
        JOBS.labels(kind, status)
    for operation in ("put", "delete"):
        STORE_FAILURES.labels(operation)
    _SLOTS.labels(engine).set(slots)
    _AUDIO.labels(engine)
    _LEASES_LOST.labels(engine)
    for outcome in _OUTCOMES:
        _ATTEMPTS.labels(engine, outcome)


def begun(engine: str, rows: Sequence[HeldJob], batch: Sequence[HeldJob]) -> None:
    """Count that the engine has begun `rows`; `batch`: all rows at work now, these included."""
    _BATCH.labels(engine).observe(len(batch))
    _BATCH_VOICES.labels(engine).observe(len({row.job.lane for row in batch}))
    for row in rows:
        if row.job.attempt == 1:
            _QUEUE_WAIT.labels(engine).observe(row.job.waited_s)


def timed(engine: str, row: HeldJob, speech: Iterable[bytes]) -> Iterator[bytes]:
    """Pass `speech` through, and record on the row when its audio began and ended."""
    for pcm in speech:
        if row.first_audio_at is None and pcm:
            row.first_audio_at = time.monotonic()
            _FIRST_AUDIO.labels(engine).observe(row.job.waited_s + row.first_audio_at - row.claimed_at)
        yield pcm
    row.done_at = time.monotonic()


def ended(engine: str, row: HeldJob, end: Finished, result: str) -> None:
    """Count an ended attempt; `result` is its job's new state: completed, failed, queued or fenced."""
    _ATTEMPTS.labels(engine, "fenced" if result == "fenced" else end.outcome).inc()
    if result in ("completed", "failed"):
        JOBS.labels(row.job.kind, result).inc()
    if result == "completed" and end.duration_ms and (synthesis_s := row.engine_s) is not None:
        _SYNTHESIS.labels(engine).observe(synthesis_s)
        _REALTIME_FACTOR.labels(engine).observe(synthesis_s * 1000 / end.duration_ms)
        _AUDIO.labels(engine).inc(end.duration_ms / 1000)


def swept(engine: str, kind: str, result: str) -> None:
    """Count a job rescued from a lost worker (queued, failed), or that had waited too long (expired)."""
    if result != "expired":
        _LEASES_LOST.labels(engine).inc()
    if result != "queued":
        JOBS.labels(kind, result).inc()


def beat_failed(step: str) -> None:
    """Count a maintenance step that failed."""
    _BEATS_FAILED.labels(step).inc()
