"""The craft of speech: text → PCM → spool → store."""

from collections.abc import Sequence

from db.objects import Objects
from db.rows import Claimed, Finished, SpeechParams
from workers import metrics
from workers.encode import Audio, WavSpool
from workers.engines import Engine, Refused, Speech, Utterance
from workers.rows import Row
from workers.settings import WorkerSettings


class Speaking:
    """Speaks jobs with an engine."""

    params = SpeechParams

    def __init__(self, engine: Engine, store: Objects, settings: WorkerSettings) -> None:
        self._engine = engine
        self._store = store
        self._settings = settings
        self.capabilities = engine.capabilities
        self.slots = engine.slots
        self.mixed_lanes = engine.mixed_lanes
        self.keep_s = settings.audio_keep_s

    def begin(self, jobs: Sequence[Claimed]) -> Sequence[Speech]:
        """Start a batch in the engine."""
        return self._engine.begin([_utterance(job) for job in jobs])

    def work(self, row: Row, task: Speech) -> Finished:
        """Speak the row to its end, into the store."""
        spool = WavSpool(
            rate_hz=self.capabilities.sample_rate_hz,
            memory_bytes=self._settings.spool_memory_bytes,
            audio_bytes_max=self._settings.audio_bytes_max,
        )
        try:
            for pcm in metrics.timed(self.capabilities.engine, row, task):
                spool.write(pcm)
            audio = spool.finish()
            if audio.duration_ms == 0:
                raise Refused("nothing_to_say")
            return self._stored(row, audio)
        finally:
            spool.close()

    def _stored(self, row: Row, audio: Audio) -> Finished:
        job, params = row.job, row.job.params
        assert isinstance(params, SpeechParams)
        key = f"jobs/{job.id}/{job.attempt}.{params.format}"
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
        """Nothing is left of a spoken job but its audio."""

    def close(self) -> None:
        """Stop the engine."""
        self._engine.close()


def _utterance(job: Claimed) -> Utterance:
    params = job.params
    assert isinstance(params, SpeechParams)
    return Utterance(
        job_id=job.id,
        text=params.text,
        voice=params.voice,
        language=params.language,
        speed=params.speed,
        pitch=params.pitch,
    )
