"""One row's work: speech → spool → store → how it ended."""

import threading
import time
from hashlib import sha256
from uuid import UUID

import structlog

from db.objects import Objects, StoreError
from db.rows import Claimed, Finished, Outcome
from workers.encode import Audio, TooLong, WavSpool
from workers.engines import Interrupted, Refused, Speech
from workers.rows import Row
from workers.settings import WorkerSettings

log = structlog.get_logger()


class Speaking:
    """Speaks rows. `store_lost` is set where a put failed; no claims until somebody clears it."""

    def __init__(self, store: Objects, settings: WorkerSettings, *, rate_hz: int) -> None:
        self._store = store
        self._settings = settings
        self._rate_hz = rate_hz
        self.store_lost = threading.Event()
        self.closing = threading.Event()  # what breaks off now is handed back, not tried again

    def result(self, row: Row, speech: Speech) -> Finished:
        """Speak the row to its end and say how that went; one bad job fails alone."""
        try:
            return self._spoken(row, speech)
        except Refused as refusal:
            return ended(row.job, "refuse", refusal.code)
        except TooLong:
            return ended(row.job, "refuse", "audio_too_long")
        except Interrupted:
            return ended(row.job, "hand_back" if self.closing.is_set() else "retry", "engine_interrupted")
        except StoreError as error:
            self.store_lost.set()
            log.warning("store_lost", error=str(error).partition("\n")[0])
            return ended(row.job, "hand_back", "store_lost")
        finally:
            speech.close()

    def _spoken(self, row: Row, speech: Speech) -> Finished:
        spool = WavSpool(
            rate_hz=self._rate_hz,
            memory_bytes=self._settings.spool_memory_bytes,
            audio_bytes_max=self._settings.audio_bytes_max,
        )
        try:
            for pcm in speech:
                spool.write(pcm)
            audio = spool.finish()
            if audio.duration_ms == 0:
                raise Refused("nothing_to_say")
            return self._stored(row, audio)
        finally:
            spool.close()

    def _stored(self, row: Row, audio: Audio) -> Finished:
        job = row.job
        key = f"jobs/{job.id}/{job.attempt}.{job.params.format}"
        self._store.put(key, audio.file)
        log.info(
            "job_spoken",
            job=short(job.id),
            attempt=job.attempt,
            synth_ms=round(1000 * (time.monotonic() - row.claimed_at)),
            audio_ms=audio.duration_ms,
        )
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


def ended(job: Claimed, outcome: Outcome, code: str) -> Finished:
    """An attempt that gave no audio, and why."""
    return Finished(id=job.id, attempt=job.attempt, outcome=outcome, code=code)


def short(job: UUID) -> str:
    """What logs may show of a job's id, which is a capability."""
    return sha256(job.bytes).hexdigest()[:12]
