"""The transcription pipeline: upload → PCM → segments → one JSON object in the store."""

from collections.abc import Sequence
from hashlib import sha256
from io import BytesIO
from tempfile import TemporaryFile
from typing import BinaryIO

import msgspec

from db.storage.objects import Objects
from db.storage.transcripts import CONTENT_TYPE, Transcript, join_segments
from db.storage.uploads import upload_key
from db.types import Claimed, Finished, TranscriptionParams
from workers.audio.decoder import DecodeCall, DecodeLimits, Decoder, Pcm
from workers.engines.protocol import Interrupted, Refused
from workers.engines.transcriber import Transcriber, TranscriptionOptions
from workers.jobs.held import HeldJob
from workers.pipelines.protocol import result_key
from workers.settings import WorkerSettings


class TranscriptionPipeline:
    """Transcribes uploads with a recogniser; meanwhile others are fetched and decoded."""

    params = TranscriptionParams
    extra_slots = 0
    live_slots = 0  # a transcript has no live listeners
    mixed_lanes = True
    batched = False

    def __init__(self, transcriber: Transcriber, store: Objects, settings: WorkerSettings) -> None:
        self._transcriber = transcriber
        self._store = store
        self._settings = settings
        self._decoder = Decoder()
        self.slots = transcriber.slots
        self.capabilities = transcriber.capabilities
        self.keep_s = settings.transcript_keep_s

    def begin(self, jobs: Sequence[Claimed]) -> Sequence[DecodeCall]:
        """Nothing starts yet: rows wait for each other."""
        return [DecodeCall() for _ in jobs]

    def work(self, row: HeldJob, task: DecodeCall) -> Finished:
        """Transcribe one upload, and store the transcript."""
        params = row.job.params
        assert isinstance(params, TranscriptionParams)
        with TemporaryFile() as file:
            self._fetch(params.object, file)
            with self._decoder.decoded(file, self._limits(params), task) as pcm:
                transcript = self._transcribed(row, pcm, params, task)
        return self._stored(row, transcript)

    def settled(self, ends: Sequence[Finished]) -> None:
        """Delete the uploads of jobs that have ended, unless they are to be kept for a while."""
        if self._settings.upload_keep_s == 0:
            self._store.delete(upload_key(end.id) for end in ends)

    def close(self) -> None:
        """Stop decoding and transcribing."""
        self._decoder.close()
        self._transcriber.close()

    def _limits(self, params: TranscriptionParams) -> DecodeLimits:
        return DecodeLimits(
            seconds_max=params.seconds_max,
            cpu_s=self._settings.decode_cpu_s,
            wall_s=self._settings.decode_wall_s,
            memory_bytes=self._settings.decode_memory_bytes,
        )

    def _fetch(self, key: str, file: BinaryIO) -> None:
        try:
            self._store.fetch(key, file)
        except FileNotFoundError:
            raise Refused("upload_lost") from None
        file.flush()

    def _transcribed(
        self, row: HeldJob, pcm: Pcm, params: TranscriptionParams, task: DecodeCall
    ) -> Transcript:
        options = TranscriptionOptions(
            language=params.language,
            words=params.words,
            translate=params.translate,
            prompt=params.prompt,
            temperature=params.temperature,
        )
        if task.closed.is_set():
            raise Interrupted("closed")
        recognition = self._transcriber.transcribe(pcm.samples, options, task.closed)
        try:
            segments = tuple(recognition.segments)
        finally:
            row.busy_s = recognition.busy_s
        return Transcript(
            text=join_segments(segments),
            language=recognition.language,
            duration=round(pcm.seconds, 3),
            segments=segments,
            warnings=(*_warnings(pcm), *recognition.warnings),
            engine=self.capabilities.engine,
        )

    def _stored(self, row: HeldJob, transcript: Transcript) -> Finished:
        job, body = row.job, msgspec.json.encode(transcript)
        key = result_key(job, "json")
        row.made_bytes = len(body)
        self._store.put(key, BytesIO(body))
        return Finished(
            id=job.id,
            attempt=job.attempt,
            outcome="done",
            object=key,
            content_type=CONTENT_TYPE,
            audio_bytes=len(body),
            duration_ms=round(1000 * transcript.duration),
            sha256=sha256(body).digest(),
        )


def _warnings(pcm: Pcm) -> tuple[str, ...]:
    found = ["The file ends before it should: what follows was not heard."] if pcm.truncated else []
    if pcm.errors:
        found.append(f"{pcm.errors} broken pieces of the file were left out.")
    return tuple(found)
