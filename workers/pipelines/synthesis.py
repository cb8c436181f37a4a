"""The speech pipeline: text → PCM → encoded once → spool → store, and live to listeners."""

from collections.abc import Iterator, Sequence
from functools import partial

from msgspec.structs import replace

from db.redis.live_audio import LiveAttempt
from db.storage.objects import Objects
from db.types import Claimed, Finished, SpeechParams
from workers import metrics
from workers.engines.protocol import Engine, Measured, Refused, Synthesis, TakesTurns, Utterance
from workers.jobs.held import HeldJob
from workers.pipelines.live_publisher import LiveAudioPublisher
from workers.pipelines.protocol import result_key
from workers.pipelines.spool import Audio, Limits, Spool
from workers.settings import WorkerSettings
from workers.text.shapes import prepare_text

_MANY_SLOTS = 32


class SynthesisPipeline:
    """Speaks jobs with an engine."""

    params = SpeechParams

    def __init__(
        self, engine: Engine, store: Objects, settings: WorkerSettings, publisher: LiveAudioPublisher
    ) -> None:
        self._engine = engine
        self._store = store
        self._publisher = publisher
        self._limits = Limits(
            memory_bytes=settings.spool_memory_bytes,
            audio_bytes_max=settings.audio_bytes_max,
            audio_s_max=settings.audio_s_max,
        )
        self.capabilities = replace(
            engine.capabilities,
            audio_s_max=settings.audio_s_max,
            audio_bytes_max=settings.audio_bytes_max,
        )
        self.slots = engine.slots
        self.extra_slots = engine.extra_slots if isinstance(engine, TakesTurns) else 0
        # If jobs hold a slot for long, long jobs without a listener must not keep a live job waiting.
        self.live_slots = engine.slots // 4 if engine.slots >= _MANY_SLOTS else 0
        self.mixed_lanes = engine.mixed_lanes
        self.batched = engine.batched
        self.keep_s = settings.audio_keep_s

    def begin(self, jobs: Sequence[Claimed]) -> Sequence[Synthesis]:
        """Start a batch in the engine. A text that cannot be prepared fails its own job and no other."""
        prepared = [_prepared(job, broken_up=self.capabilities.texts_broken_up) for job in jobs]
        utterances = [each for each in prepared if isinstance(each, Utterance)]
        begun = iter(self._engine.begin(utterances) if utterances else [])
        return [next(begun) if isinstance(each, Utterance) else each for each in prepared]

    def work(self, row: HeldJob, task: Synthesis) -> Finished:
        """Speak the row's text to its end, and store the audio."""
        params = row.job.params
        assert isinstance(params, SpeechParams)
        spool = Spool(
            params,
            engine_hz=self.capabilities.sample_rate_hz,
            limits=self._limits,
            is_live=lambda: row.live,
            publish=partial(self._publisher.audio, LiveAttempt(*row.attempt)),
        )
        try:
            for pcm in metrics.timed(self.capabilities.engine, row, task):
                spool.write(pcm)
            if spool.silent:
                raise Refused("nothing_to_say")
            return self._stored(row, spool.finish())
        finally:
            row.cost_s = task.engine_s if isinstance(task, Measured) else None
            spool.close()

    def _stored(self, row: HeldJob, audio: Audio) -> Finished:
        job, params = row.job, row.job.params
        assert isinstance(params, SpeechParams)
        key = result_key(job, params.format)
        row.made_bytes = audio.audio_bytes
        self._store.put(key, audio.file)
        return Finished(
            id=job.id,
            attempt=job.attempt,
            outcome="done",
            object=key,
            content_type=audio.content_type,
            audio_bytes=audio.audio_bytes,
            duration_ms=audio.duration_ms,
            sha256=audio.sha256,
        )

    def settled(self, ends: Sequence[Finished]) -> None:
        """Nothing is left of a speech job but its audio."""

    def close(self) -> None:
        """Stop the engine."""
        self._engine.close()


class _Unprepared:
    """The synthesis of a text whose preparation failed."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        raise self._error

    def close(self) -> None:
        """Nothing was begun."""


def _prepared(job: Claimed, *, broken_up: bool) -> Utterance | _Unprepared:
    try:
        return _utterance(job, broken_up=broken_up)
    except Exception as error:  # any exception: it is a bug of ours that one text triggers
        return _Unprepared(error)


def _utterance(job: Claimed, *, broken_up: bool) -> Utterance:
    params = job.params
    assert isinstance(params, SpeechParams)
    return Utterance(
        job_id=job.id,
        text=prepare_text(params.text, params.language, broken_up=broken_up),
        voice=params.voice,
        language=params.language,
        speed=params.speed,
        pitch=params.pitch,
        live=job.live,
        owner=job.owner,
    )
