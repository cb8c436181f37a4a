"""Speech jobs: submit, read the status, cancel. Credits are moved by the database's functions."""

import time
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from math import ceil
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct

from app.domain.billing.credits import used
from app.domain.billing.price_book import PriceBook, Quote
from app.domain.coalescing import Coalescer
from app.domain.database import Database
from app.domain.errors import Invalid, NotFound, TooLate, TooManyRefunds, Unavailable
from app.domain.identity.principals import Principal
from app.domain.jobs.notifications import JobNotifications
from app.domain.jobs.submission import JobSubmitter
from app.domain.speech.live_capacity import LiveCapacity
from app.domain.speech.validation import SpeechRequest, ValidatedSpeech, unknown_voice, validate
from app.domain.storage_quotas import StorageQuotas
from app.domain.voices.catalog import Catalog, Catalogs
from app.domain.voices.mixes import mixed, unknown
from app.domain.voices.resolution import Match, resolve
from db.postgres import jobs_api
from db.settings import PositiveInt
from db.types import JobStatus, NewJob, Progress

_KIND = "speech"
IDEMPOTENCY_KEY_MAX = 255
_POLLS_WAITING_MAX = 10_000
_UUID_CHARACTERS = 36
_REFUNDS_FRESH_S = 5.0
_REFUNDS_CHECKED_MAX = 10_000


class SpeechLimits(Struct, frozen=True, kw_only=True):
    """The operator's limits on speech."""

    text_characters_max: PositiveInt = 100_000  # POST /v1/tts
    audio_ms_per_character_max: PositiveInt = 1000  # at speed 1; held if audio is priced by the second


class Ticket(Struct, frozen=True, kw_only=True):
    """An accepted job; if `replayed`, that of the first request with the key, which `engine` belongs to."""

    job_id: UUID
    engine: str
    message: str
    replayed: bool
    plan: ValidatedSpeech


class SpeechService:
    """Speech jobs, for all dialects of the API."""

    def __init__(
        self,
        database: Database,
        catalogs: Catalogs,
        prices: PriceBook,
        submitter: JobSubmitter,
        signals: JobNotifications,
        storage: StorageQuotas,
        limits: SpeechLimits,
    ) -> None:
        self._database = database
        self._storage = storage
        self._submitter = submitter
        self._prices = prices
        self._catalogs = catalogs
        self._signals = signals
        self._limits = limits
        self._live_capacity = LiveCapacity(database)
        self._refunds_checked: dict[UUID, float] = {}  # accounts below the limit: when that was checked
        self._statuses = Coalescer(database, jobs_api.statuses, waiting_max=_POLLS_WAITING_MAX)
        self._polls = Coalescer(database, jobs_api.progress, waiting_max=_POLLS_WAITING_MAX)

    async def submit(
        self,
        who: Principal,
        request: SpeechRequest,
        idempotency_key: str | None,
        *,
        route: str,
        characters_max: int | None = None,
        live: bool = False,
    ) -> Ticket:
        """Hold the price and queue the job, in one shared commit; wake a worker. A refusal costs nothing.

        `live`: a client will stream it from the first audio on. Raises Unavailable if the engine can speak no
        more live streams in real time.
        """
        check_idempotency_key(idempotency_key)
        planned = await self._plan(request, characters_max or self._limits.text_characters_max)
        job = self._job(who, planned, await self._quote(planned), live=live)
        if idempotency_key is not None:
            job = msgspec.structs.replace(job, key=idempotency_key, fingerprint=_fingerprint(route, request))
        async with self._storage.reserve(who, job.id, planned.expected_bytes, key=idempotency_key):
            async with (
                self._live_capacity.admit(planned.offer.engine, who.account) if live else nullcontext()
            ):
                answer = await self._submitter.submit(job)
            if answer.id is None or answer.code not in ("queued", "replayed"):
                raise self._submitter.refusal(who, job, answer)
        message = used(who.user_type, answer.bucket, answer.remaining)
        replayed = answer.code == "replayed"
        engine = (await self.status(str(answer.id))).engine if replayed else job.engine
        return Ticket(job_id=answer.id, engine=engine, message=message, replayed=replayed, plan=planned)

    async def status(self, job_id: str) -> JobStatus:
        """What anyone who knows a job's id may see. Raises NotFound, with the body that ends polling."""
        identifier = read_job_id(job_id)
        found = await self._statuses.submit(identifier) if identifier else None
        if found is None:
            raise _no_job()
        return found

    async def progress(self, job_id: str) -> Progress:
        """The part of the status that a poll shows. Raises NotFound as `status` does."""
        identifier = read_job_id(job_id)
        found = await self._polls.submit(identifier) if identifier else None
        if found is None:
            raise _no_job()
        return found

    async def cancel(self, who: Principal, job_id: str) -> None:
        """Cancel the account's own unfinished job: its credits return, unless audio was delivered live.

        Raises NotFound and TooLate.
        """
        identifier = read_job_id(job_id)
        result = "not_found"
        if identifier is not None:
            async with self._database.connection() as connection:
                actor = str(who.account)
                result = await jobs_api.cancel(connection, identifier, owner=who.account, actor=actor)
        if identifier is not None and result == "cancelled":
            self._signals.notify_cancelled(identifier)
        if result == "not_found":
            raise _no_job()
        if result == "too_late":
            raise TooLate("This job has already ended; it cannot be cancelled any more.")

    async def break_off(self, who: Principal, job: UUID) -> None:
        """Stop a job whose audio could not be delivered to its end, and refund it."""
        async with self._database.connection() as connection:
            actor = "api_stopping" if self._signals.closing else "api"
            result = await jobs_api.break_off(connection, job, owner=who.account, actor=actor)
        if result == "failed":
            self._signals.notify_cancelled(job)

    async def listen(self, job: UUID, *, engine: str, owner: UUID) -> None:
        """Have the worker of an unfinished job, present or future, publish its audio live.

        Raises Unavailable if the engine can speak no further live stream for the job's owner.
        """
        offers = (await self._catalogs.current()).offers
        known = next((offer.engine for offer in offers if offer.engine.engine == engine), None)
        async with self._live_capacity.admit(known, owner) if known else nullcontext():
            async with self._database.connection() as connection:
                await jobs_api.listen(connection, job)
        self._signals.notify_listening(job)

    async def unlisten(self, job: UUID) -> None:
        """Record that the last listener has left: the job is no longer one of the engine's live streams."""
        with suppress(Unavailable):  # it stops counting when the job ends
            async with self._database.connection() as connection:
                await jobs_api.unlisten(connection, job)

    async def record_delivery(self, job: UUID, *, attempt: int, given_ms: int) -> str:
        """Record an attempt's delivery before it happens, `given_ms` in all; returns as `jobs_api.hear`."""
        async with self._database.connection() as connection:
            return await jobs_api.record_delivery(connection, job, attempt=attempt, given_ms=given_ms)

    async def check_refunds(self, who: Principal, *, refunds_max: int) -> None:
        """Raise TooManyRefunds if more streams were refunded today than failures of ours explain.

        A result is cached for some seconds, so that not every stream waits for the query.
        """
        now = time.monotonic()
        if now - self._refunds_checked.get(who.account, -_REFUNDS_FRESH_S) < _REFUNDS_FRESH_S:
            return
        async with self._database.connection() as connection:
            if not await jobs_api.has_too_many_refunds(connection, who.account, refunds_max=refunds_max):
                if len(self._refunds_checked) >= _REFUNDS_CHECKED_MAX:
                    self._refunds_checked.clear()
                self._refunds_checked[who.account] = now
                return
        message = (
            f"More than {refunds_max} of your streams were cut off and refunded today. Streams are open again"
            " after midnight UTC; POST /v1/tts is open now."
        )
        raise TooManyRefunds(message, retry_after_s=_until_midnight_s(), limit=refunds_max)

    async def _plan(self, request: SpeechRequest, characters_max: int) -> ValidatedSpeech:
        catalog = await self._catalogs.current()
        found = _match(catalog, request)
        if found is None:  # perhaps its engine has only just started
            catalog = await self._catalogs.renewed()
            found = _match(catalog, request)
        if not catalog.offers:
            raise Unavailable("No speech engine is ready yet. Please try again in a moment.", retry_after_s=5)
        if found is None:
            raise unknown_voice(unknown(request.voice, catalog), catalog)
        return validate(request, found.offer, characters_max=characters_max, reason=found.reason)

    async def _quote(self, planned: ValidatedSpeech) -> Quote:
        characters = len(planned.params.text)
        audio_ms_max = characters * self._limits.audio_ms_per_character_max / min(planned.params.speed, 1.0)
        engine = planned.offer.engine.engine
        return await self._prices.quote(_KIND, engine, characters=characters, audio_ms_max=ceil(audio_ms_max))

    def _job(self, who: Principal, planned: ValidatedSpeech, quote: Quote, *, live: bool) -> NewJob:
        return NewJob(
            id=uuid4(),
            owner=who.account,
            kind=_KIND,
            engine=planned.offer.engine.engine,
            lane=planned.params.voice,
            params=planned.params,
            hold=quote.hold,
            tariff=quote.tariff,
            characters=len(planned.params.text),
            cost_us=planned.cost_us,
            live=live,
            api_key=who.key,
            expected_ms=planned.least_ms if quote.unit == "1000_characters" else 0,
        )


def _match(catalog: Catalog, request: SpeechRequest) -> Match | None:
    """The voice that speaks; or a mix, which is in no list and has no sample."""
    found = resolve(catalog, request)
    mix = mixed(request.voice, catalog) if found is None else None
    return found if mix is None else Match(mix)


def check_idempotency_key(key: str | None) -> None:
    """Raise Invalid unless the key is absent or 1 to 255 printable ASCII characters."""
    if key is None or (0 < len(key) <= IDEMPOTENCY_KEY_MAX and all(" " <= letter <= "~" for letter in key)):
        return
    raise Invalid(
        f"An Idempotency-Key has 1 to {IDEMPOTENCY_KEY_MAX} printable ASCII characters.",
        field="Idempotency-Key",
        limit=[1, IDEMPOTENCY_KEY_MAX],
    )


def _fingerprint(route: str, request: SpeechRequest) -> bytes:
    return sha256(route.encode() + b"\0" + msgspec.json.encode(request)).digest()


def read_job_id(text: str) -> UUID | None:
    """The job id in `text`, if it is written in the canonical form; else None."""
    return _read_uuid(text) if len(text) == _UUID_CHARACTERS else None


@lru_cache(4096)  # clients poll for the same id repeatedly
def _read_uuid(text: str) -> UUID | None:
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text.lower() else None


def _until_midnight_s() -> int:
    now = datetime.now(UTC)
    return 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)


def _no_job() -> NotFound:
    error = "There is no such job."
    return NotFound(error, beside={"status": "failed", "error": error})
