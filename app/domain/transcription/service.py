"""Transcription: submits an upload as a job, and waits until a worker has transcribed it."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import BinaryIO
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct

from app.domain.billing.credits import spendable
from app.domain.billing.price_book import PriceBook
from app.domain.coalescing import Coalescer
from app.domain.database import Database
from app.domain.errors import InFlight, Invalid, Unavailable
from app.domain.identity.principals import Principal
from app.domain.jobs.job_call import JobCall
from app.domain.jobs.notifications import JobNotifications
from app.domain.jobs.submission import JobSubmitter
from app.domain.speech.service import check_idempotency_key
from app.domain.storage_quotas import StorageQuotas
from app.domain.store_health import StoreHealth, store_away
from app.domain.transcription.engine_choice import (
    TranscriptionRequest,
    choose,
    engine_away,
    has_engine,
    known_tag,
)
from app.domain.transcription.outcomes import of_transcription, unsupported
from app.domain.transcription.stored_transcripts import read_transcript
from app.domain.voices.catalog import Catalogs
from db.postgres import jobs_api, ledger
from db.settings import PositiveInt, Seconds
from db.storage.objects import Objects, StoreError
from db.storage.transcripts import Transcript
from db.storage.uploads import container_of, upload_key
from db.types import Capabilities, NewJob, Submitted, TranscriptionJob, TranscriptionParams

_KIND = "transcription"
_WAITING_RETRY_S = 5
_POLLS_WAITING_MAX = 10_000
_PUT_CHECK_S = 1.0
_STORE_THREADS = 16  # for uploads only, so that a slow store blocks nothing else
# For fair shares: an upload's length is unknown before it is decoded. Typical rates of recorded speech.
_BYTES_A_SECOND = {"wav": 64_000, "flac": 32_000}
_BYTES_A_SECOND_ELSE = 12_000
_LEAST_S = 5  # of audio: what a short recording costs an engine


class UploadLimits(Struct, frozen=True, kw_only=True):
    """The operator's limits on uploads and their transcription."""

    upload_bytes_max: PositiveInt = 25_000_000  # POST /transcribe
    upload_audio_s_max: PositiveInt = 600
    upload_wait_s: Seconds = 300.0  # for an upload to arrive
    transcription_wait_s: Seconds = 600.0  # for the transcript, queueing included, before 503


class Upload(Struct, frozen=True, kw_only=True):
    """A file as it arrived."""

    file: BinaryIO
    size_bytes: int
    sha256: bytes


class Transcribed(Struct, frozen=True, kw_only=True):
    """A transcript and what it cost, in micro-credits; `remaining` in all buckets, None: unlimited."""

    job_id: UUID
    transcript: Transcript
    language_name: str  # English; empty if no running engine knows the language
    engine: str
    used: int
    remaining: int | None
    replayed: bool


class TranscriptionService:
    """Transcription, for all dialects of the API."""

    def __init__(
        self,
        database: Database,
        catalogs: Catalogs,
        prices: PriceBook,
        submitter: JobSubmitter,
        signals: JobNotifications,
        store: Objects,
        storage: StorageQuotas,
        store_state: StoreHealth,
        limits: UploadLimits,
    ) -> None:
        self._storage = storage
        self._polls = Coalescer(database, jobs_api.transcriptions, waiting_max=_POLLS_WAITING_MAX)
        self._database = database
        self._catalogs = catalogs
        self._prices = prices
        self._submitter = submitter
        self._signals = signals
        self._store = store
        self._store_state = store_state
        self._limits = limits
        self._threads = ThreadPoolExecutor(_STORE_THREADS, thread_name_prefix="upload")

    async def engine(self, request: TranscriptionRequest) -> Capabilities:
        """The engine for a request: of the running ones that know the language, the most accurate; of those,
        the one with most languages.

        Raises UnknownLanguage and Invalid; Unavailable if a suitable engine may come back.
        """
        try:
            return choose((await self._catalogs.current()).transcribers, request)
        except (Unavailable, Invalid):  # perhaps a suitable engine has only just started
            catalog = await self._catalogs.renewed()
        try:
            return choose(catalog.transcribers, request)
        except Invalid:
            if has_engine(catalog.transcribers_away, request):
                raise engine_away() from None
            raise

    async def transcribe(
        self,
        who: Principal,
        upload: Upload,
        request: TranscriptionRequest,
        idempotency_key: str | None,
        *,
        route: str,
    ) -> Transcribed:
        """Hold the price, queue the upload, and wait for the transcript; it is charged when complete.

        Raises the errors of a submission and of the file. If the client disconnects (the task is cancelled),
        the job is cancelled too, unless it has a key.
        """
        check_idempotency_key(idempotency_key)
        engine = await self.engine(request)
        check_upload(upload)
        job = await self._job(who, upload, request, engine)
        if idempotency_key is not None:
            fingerprint = _fingerprint(route, upload, request)
            job = msgspec.structs.replace(job, key=idempotency_key, fingerprint=fingerprint)
        async with self._storage.reserve(who, job.id, upload.size_bytes, key=idempotency_key):
            call = JobCall(self._signals, partial(self._cancel, who), is_keyed=job.key is not None)
            answer = await call.submit(self._submit(who, upload, job), _new_job)
        assert answer.id is not None
        poll = partial(self._ended, who, answer.id)
        if answer.code != "replayed":
            ended = await self._awaited(call, poll)
        elif (ended := await poll()) is None:
            raise InFlight("This request came before and has not ended yet. Send it again later.")
        return await self._transcribed(who, ended, replayed=answer.code == "replayed")

    async def _job(
        self, who: Principal, upload: Upload, request: TranscriptionRequest, engine: Capabilities
    ) -> NewJob:
        identifier, seconds_max = uuid4(), min(self._limits.upload_audio_s_max, engine.seconds_max)
        quote = await self._prices.quote(_KIND, engine.engine, audio_ms_max=1000 * seconds_max)
        params = TranscriptionParams(
            object=upload_key(identifier),
            sha256=upload.sha256.hex(),
            language=known_tag(engine, request.language) or None,
            words=request.words,
            translate=request.translate,
            seconds_max=seconds_max,
            prompt=request.prompt,
            temperature=request.temperature,
        )
        return NewJob(
            id=identifier,
            owner=who.account,
            kind=_KIND,
            engine=engine.engine,
            lane=_KIND,
            params=params,
            hold=quote.hold,
            tariff=quote.tariff,
            characters=0,
            cost_us=_expected_s(upload, seconds_max) * engine.cost_us_per_second,
            api_key=who.key,
        )

    async def _submit(self, who: Principal, upload: Upload, job: NewJob) -> Submitted:
        """Store the upload first, so that a worker finds it; delete it if the job is refused."""
        await self._put(upload, job.id)
        is_wanted = False
        try:
            answer = await self._submitter.submit(job)
            is_wanted = answer.code == "queued"
        finally:
            if not is_wanted:
                self._signals.run_in_background(self._drop(job.id))
        if answer.code not in ("queued", "replayed"):
            raise self._submitter.refusal(who, job, answer)
        return answer

    async def _ended(self, who: Principal, job: UUID) -> TranscriptionJob | None:
        """The job if it has ended."""
        found = await self._polls.submit((job, who.account))
        is_over = found is not None and found.state not in ("queued", "processing")
        return found if is_over else None

    async def _awaited(
        self, call: JobCall, poll: Callable[[], Awaitable[TranscriptionJob | None]]
    ) -> TranscriptionJob:
        """The job when it has ended. Without a key, a disconnect or a timeout cancels it."""
        ended = await call.wait(poll, within_s=self._limits.transcription_wait_s)
        if ended is None and not call.is_keyed:
            await call.cancel()
            ended = await poll()
        if ended is not None and (call.is_keyed or ended.state != "cancelled"):
            return ended
        waited_s = self._limits.transcription_wait_s
        message = f"The transcript was not ready within {waited_s:g} s. Please try again later."
        raise Unavailable(message, retry_after_s=_WAITING_RETRY_S)

    async def _transcribed(self, who: Principal, ended: TranscriptionJob, *, replayed: bool) -> Transcribed:
        if ended.state != "completed":
            raise of_transcription(ended, seconds_max=self._limits.upload_audio_s_max)
        transcript = await read_transcript(self._store, ended)
        async with self._database.connection() as connection:
            balance = await ledger.balance(connection, who.account)
        return Transcribed(
            job_id=ended.id,
            transcript=transcript,
            language_name=await self._language_name(transcript.language),
            engine=transcript.engine or ended.engine,
            used=ended.spent,
            remaining=None if balance is None else spendable(balance),
            replayed=replayed,
        )

    async def _language_name(self, tag: str) -> str:
        for engine in (await self._catalogs.current()).transcribers:
            if tag in engine.languages:
                return engine.language_names[engine.languages.index(tag)]
        return ""

    async def _put(self, upload: Upload, job: UUID) -> None:
        await self._store_state.require()
        upload.file.seek(0)
        loop, key = asyncio.get_running_loop(), upload_key(job)
        putting = loop.run_in_executor(self._threads, self._store.put, key, upload.file)
        putting.add_done_callback(_put_ended)
        try:
            while not (await asyncio.wait({putting}, timeout=_PUT_CHECK_S))[0]:
                await self._store.check()  # a large file may take long, as long as the store responds
            putting.result()
        except (StoreError, ValueError) as error:  # the file is closed after a disconnect
            raise store_away() from error

    async def _drop(self, job: UUID) -> None:
        """Delete the upload; if that fails now, the workers' maintenance deletes it later."""
        with suppress(StoreError):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._store.delete, [upload_key(job)])

    async def _cancel(self, who: Principal, job: UUID) -> None:
        async with self._database.connection() as connection:
            result = await jobs_api.cancel(connection, job, owner=who.account, actor=str(who.account))
        if result == "cancelled":
            self._signals.notify_cancelled(job)
            self._signals.run_in_background(self._drop(job))


def _put_ended(putting: "asyncio.Future[None]") -> None:
    """Retrieve the error, since perhaps no caller waits for it any more."""
    if not putting.cancelled():
        putting.exception()


def check_upload(upload: Upload) -> None:
    """Raise Invalid for an empty file, UnsupportedAudio for unknown first bytes. Nothing is held before."""
    if upload.size_bytes == 0:
        raise Invalid("The file is empty.", field="file", limit=[1, None])
    if container_of(upload.file) is None:
        raise unsupported()


def _expected_s(upload: Upload, seconds_max: int) -> int:
    """The estimated seconds of audio in the file."""
    rate = _BYTES_A_SECOND.get(container_of(upload.file) or "", _BYTES_A_SECOND_ELSE)
    return max(_LEAST_S, min(upload.size_bytes // rate, seconds_max))


def _new_job(answer: Submitted) -> UUID | None:
    return answer.id if answer.code == "queued" else None


def _fingerprint(route: str, upload: Upload, request: TranscriptionRequest) -> bytes:
    """Fields newer than 0.1.0 are left out at their defaults, so that its fingerprints still match."""
    requested: dict[str, object] = msgspec.to_builtins(request)
    for later, nothing in (("prompt", ""), ("temperature", 0.0)):
        if requested[later] == nothing:
            del requested[later]
    return sha256(route.encode() + b"\0" + upload.sha256 + msgspec.json.encode(requested)).digest()
