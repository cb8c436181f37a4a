"""Transcription: an upload becomes a job, a worker hears it, and whoever asked waits for the transcript."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import BinaryIO, NoReturn
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct

from app.domain.billing.credits import refusal, spendable
from app.domain.billing.price_book import PriceBook
from app.domain.coalescing import Coalescer
from app.domain.database import Database
from app.domain.errors import (
    DomainError,
    InFlight,
    Invalid,
    TooManyWaiting,
    Unavailable,
    UnknownLanguage,
)
from app.domain.identity.principals import Principal
from app.domain.jobs.notifications import JobNotifications
from app.domain.jobs.submission import JobSubmitter
from app.domain.speech.service import check_idempotency_key
from app.domain.storage_quotas import StorageQuotas
from app.domain.store_health import StoreHealth, store_away
from app.domain.transcription.outcomes import of_transcription, unsupported
from app.domain.transcription.stored_transcripts import read_transcript
from app.domain.voices.catalog import Catalogs
from app.domain.voices.languages import matching
from db.postgres import jobs_api, ledger
from db.storage.objects import Objects, StoreError
from db.storage.transcripts import Transcript
from db.storage.uploads import container_of, upload_key
from db.types import Capabilities, NewJob, Submitted, TranscriptionJob, TranscriptionParams

_KIND = "transcription"
_WAITING_RETRY_S = 5
_LOOKS_WAITING_MAX = 10_000
_PUT_LOOK_S = 1.0
_STORE_THREADS = 16  # of uploads alone: a store that is slow holds nothing else up
# For fair shares: nobody knows how long an upload is before it is decoded. Of sound as people record speech.
_BYTES_A_SECOND = {"wav": 64_000, "flac": 32_000}
_BYTES_A_SECOND_ELSE = 12_000
_LEAST_S = 5  # of audio: what a short recording costs an engine
PROMPT_MAX = 1000  # characters
TEMPERATURE_MAX = 1.0


class TranscriptionLimits(Struct, frozen=True, kw_only=True):
    """The operator's choices for transcription."""

    seconds_max: int  # of audio
    wait_s: float  # for the transcript, queue included
    jobs_waiting_max: int


class Upload(Struct, frozen=True, kw_only=True):
    """A file as it arrived."""

    file: BinaryIO
    size_bytes: int
    sha256: bytes


class TranscriptionRequest(Struct, frozen=True, kw_only=True):
    """What every dialect asks for. No language: the engine tells, or takes its first; no engine: the best."""

    language: str | None = None
    words: bool = False
    translate: bool = False
    engine: str | None = None
    prompt: str = ""  # words that may be said; up to PROMPT_MAX characters
    temperature: float = 0.0  # up to TEMPERATURE_MAX


class Transcribed(Struct, frozen=True, kw_only=True):
    """A transcript and what it cost, in micro-credits; `remaining` of all buckets, None: unlimited."""

    job_id: UUID
    transcript: Transcript
    language_name: str  # English; empty where no engine here knows it any more
    engine: str
    used: int
    remaining: int | None
    replayed: bool


class TranscriptionService:
    """What every dialect calls for transcription."""

    def __init__(
        self,
        record: Database,
        catalogs: Catalogs,
        prices: PriceBook,
        intake: JobSubmitter,
        signals: JobNotifications,
        store: Objects,
        storage: StorageQuotas,
        store_state: StoreHealth,
        limits: TranscriptionLimits,
    ) -> None:
        self._storage = storage
        self._looks = Coalescer(record, jobs_api.transcriptions, waiting_max=_LOOKS_WAITING_MAX)
        self._record = record
        self._catalogs = catalogs
        self._prices = prices
        self._intake = intake
        self._signals = signals
        self._store = store
        self._store_state = store_state
        self._limits = limits
        self._threads = ThreadPoolExecutor(_STORE_THREADS, thread_name_prefix="upload")

    async def engine(self, request: TranscriptionRequest) -> Capabilities:
        """The engine that will hear this: of those at work that know the language, the most accurate one; of
        such, the one that knows most languages.

        Raises UnknownLanguage and Invalid; Unavailable where an engine that can may come back.
        """
        try:
            return _engine((await self._catalogs.current()).transcribers, request)
        except (Unavailable, Invalid):  # perhaps the engine that can has only just come up
            catalog = await self._catalogs.renewed()
        try:
            return _engine(catalog.transcribers, request)
        except Invalid:
            if _has_engine(catalog.transcribers_away, request):
                raise _away() from None
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
        """Hold the price, queue the upload, wait for the transcript; charged when all of it is written.

        Raises what refuses a request, and what is wrong with the file. Where the caller leaves (we are
        cancelled), the job is cancelled too, unless it came with a key.
        """
        check_idempotency_key(idempotency_key)
        engine = await self.engine(request)
        check_upload(upload)
        job = await self._job(who, upload, request, engine)
        if idempotency_key is not None:
            fingerprint = _fingerprint(route, upload, request)
            job = msgspec.structs.replace(job, key=idempotency_key, fingerprint=fingerprint)
        async with self._storage.room(who, job.id, upload.size_bytes, key=idempotency_key):
            answer = await self._queued(who, upload, job)
        assert answer.id is not None
        if answer.code != "replayed":
            ended = await self._awaited(who, answer.id, is_keyed=idempotency_key is not None)
        elif (ended := await self._ended(who, answer.id)) is None:
            raise InFlight("This request came before and has not ended yet. Send it again later.")
        return await self._transcribed(who, ended, replayed=answer.code == "replayed")

    async def _job(
        self, who: Principal, upload: Upload, request: TranscriptionRequest, engine: Capabilities
    ) -> NewJob:
        identifier, seconds_max = uuid4(), min(self._limits.seconds_max, engine.seconds_max)
        quote = await self._prices.quote(_KIND, engine.engine, audio_ms_max=1000 * seconds_max)
        params = TranscriptionParams(
            object=upload_key(identifier),
            sha256=upload.sha256.hex(),
            language=_language(engine, request.language) or None,
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

    async def _queued(self, who: Principal, upload: Upload, job: NewJob) -> Submitted:
        """The job submitted; where the caller leaves meanwhile, it is submitted first and then cancelled."""
        submitting = asyncio.ensure_future(self._submit(who, upload, job))
        try:
            return await asyncio.shield(submitting)
        except asyncio.CancelledError:
            self._signals.beside(self._leave(who, submitting, is_keyed=job.key is not None))
            raise

    async def _leave(
        self, who: Principal, submitting: "asyncio.Future[Submitted]", *, is_keyed: bool
    ) -> None:
        with suppress(DomainError):
            answer = await submitting
            if answer.code == "queued" and answer.id is not None and not is_keyed:
                await self._cancel(who, answer.id)

    async def _submit(self, who: Principal, upload: Upload, job: NewJob) -> Submitted:
        """Put the upload first, so that a worker finds it; drop it where the job is refused."""
        await self._put(upload, job.id)
        is_wanted = False
        try:
            answer = await self._intake.submit(job)
            is_wanted = answer.code == "queued"
        finally:
            if not is_wanted:
                self._signals.beside(self._drop(job.id))
        if answer.code not in ("queued", "replayed"):
            self._refuse(who, job, answer)
        return answer

    def _refuse(self, who: Principal, job: NewJob, answer: Submitted) -> NoReturn:
        if answer.code == "too_many_waiting":
            most = self._limits.jobs_waiting_max
            message = f"You have {most} jobs waiting, as many as an account may have. Wait for some to end."
            raise TooManyWaiting(message, retry_after_s=_WAITING_RETRY_S, limit=most)
        raise refusal(answer.code, kind=who.user_type, price=job.hold, remaining=answer.remaining)

    async def _ended(self, who: Principal, job: UUID) -> TranscriptionJob | None:
        """The job where it is in its last state."""
        found = await self._looks.submit((job, who.account))
        is_over = found is not None and found.state not in ("queued", "processing")
        return found if is_over else None

    async def _awaited(self, who: Principal, job: UUID, *, is_keyed: bool) -> TranscriptionJob:
        """The job when it has ended. Without a key, who leaves or waits too long has cancelled it."""
        look = partial(self._ended, who, job)
        try:
            ended = await self._signals.until(job, look, within_s=self._limits.wait_s)
        except BaseException:
            if not is_keyed:
                self._signals.beside(self._cancel(who, job))
            raise
        if ended is None and not is_keyed:
            await self._cancel(who, job)
            ended = await look()
        if ended is not None and (is_keyed or ended.state != "cancelled"):
            return ended
        message = f"The transcript was not ready within {self._limits.wait_s:g} s. Please try again later."
        raise Unavailable(message, retry_after_s=_WAITING_RETRY_S)

    async def _transcribed(self, who: Principal, ended: TranscriptionJob, *, replayed: bool) -> Transcribed:
        if ended.state != "completed":
            raise of_transcription(ended, seconds_max=self._limits.seconds_max)
        transcript = await read_transcript(self._store, ended)
        async with self._record.connection() as connection:
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
            while not (await asyncio.wait({putting}, timeout=_PUT_LOOK_S))[0]:
                await self._store.check()  # a large file may take its time, where the store answers at all
            putting.result()
        except (StoreError, ValueError) as error:  # a file is closed when its caller has left
            raise store_away() from error

    async def _drop(self, job: UUID) -> None:
        """What cannot be deleted now, the workers' sweep finds."""
        with suppress(StoreError):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._store.delete, [upload_key(job)])

    async def _cancel(self, who: Principal, job: UUID) -> None:
        async with self._record.connection() as connection:
            result = await jobs_api.cancel(connection, job, owner=who.account, actor=str(who.account))
        if result == "cancelled":
            self._signals.cancelled(job)
            self._signals.beside(self._drop(job))


def _put_ended(putting: "asyncio.Future[None]") -> None:
    """Nobody may be there any more to hear of its error."""
    if not putting.cancelled():
        putting.exception()


def check_upload(upload: Upload) -> None:
    """Raise unless the file's first bytes are of a kind we take; nothing was held or charged yet."""
    if upload.size_bytes == 0:
        raise Invalid("The file is empty.", field="file", limit=[1, None])
    if container_of(upload.file) is None:
        raise unsupported()


def _language(engine: Capabilities, asked: str | None) -> str | None:
    """The engine's own tag for what was asked for, empty where it may tell by itself; None: it does not know
    the language.
    """
    wanted = (asked or "").strip().casefold()
    if wanted in ("", "auto"):
        return "" if engine.detects_language else engine.languages[0]
    return matching(wanted, engine.languages, engine.language_names)


def _expected_s(upload: Upload, seconds_max: int) -> int:
    """About how many seconds of audio the file has."""
    rate = _BYTES_A_SECOND.get(container_of(upload.file) or "", _BYTES_A_SECOND_ELSE)
    return max(_LEAST_S, min(upload.size_bytes // rate, seconds_max))


def _unknown_language(engines: list[Capabilities]) -> UnknownLanguage:
    known = list(dict.fromkeys(tag for engine in engines for tag in engine.languages))
    return UnknownLanguage(
        f"No engine here knows this language. They know {', '.join(known)}.",
        field="language",
        languages=known,
    )


def _has_engine(found: Sequence[Capabilities], request: TranscriptionRequest) -> bool:
    try:
        return bool(_engine(found, request))
    except (Unavailable, Invalid):
        return False


def _away() -> Unavailable:
    message = "The engine that can transcribe this is not running at the moment. Try again soon."
    return Unavailable(message, retry_after_s=5)


def _engine(found: Sequence[Capabilities], request: TranscriptionRequest) -> Capabilities:
    if not found:
        raise Unavailable("No transcription engine is ready yet. Try again in a moment.", retry_after_s=5)
    named = [engine for engine in found if request.engine in (None, engine.engine)]
    if not named:
        names = [engine.engine for engine in found]
        raise Invalid(f"Engines are {', '.join(names)}.", field="model", engines=names)
    able = [engine for engine in named if engine.translates or not request.translate]
    if not able:
        raise Invalid("No engine here translates.", field="task")
    knowing = [engine for engine in able if _language(engine, request.language) is not None]
    if not knowing:
        raise _unknown_language(able)
    return max(knowing, key=lambda engine: (engine.accuracy != "low", len(engine.languages)))


def _fingerprint(route: str, upload: Upload, request: TranscriptionRequest) -> bytes:
    """What 0.1.0 did not know is left out where it is not asked for: its keys still stand for the same."""
    asked: dict[str, object] = msgspec.to_builtins(request)
    for later, nothing in (("prompt", ""), ("temperature", 0.0)):
        if asked[later] == nothing:
            del asked[later]
    return sha256(route.encode() + b"\0" + upload.sha256 + msgspec.json.encode(asked)).digest()
