"""Speech in the answer, whole or while it is made: who waits how long, and what leaving costs.

A caller who leaves is a cancelled task: without an Idempotency-Key its job is cancelled, with one it goes on.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Literal
from uuid import UUID

from msgspec import Struct

from app.domain.billing.settlement import settled_in_words
from app.domain.database import Database
from app.domain.errors import (
    DomainError,
    InFlight,
    NotFound,
    SpeechFailed,
    TooLate,
    Unavailable,
)
from app.domain.identity.principals import Principal
from app.domain.jobs.notifications import JobNotifications
from app.domain.speech.live_stream import LiveStreamReader
from app.domain.speech.outcomes import check_audio, failure
from app.domain.speech.service import SpeechService, Ticket
from app.domain.speech.validation import SpeechRequest
from app.domain.store_health import StoreHealth
from app.domain.stream_limits import ConcurrentStreams, Place
from db.formats import FORMATS, Format
from db.postgres.queries import query
from db.storage.objects import Objects
from db.types import JobStatus

_SLACK = 2  # an engine may take so many times what it expects
_RETRY_S = 1
_RECORD_TRIES = 3


Ending = Literal["whole", "left", "broken"]  # of a stream: given to its end, its caller gone, our own fault


class SynchronousLimits(Struct, frozen=True, kw_only=True):
    """The operator's choices for speech in the answer."""

    characters_max: int
    first_audio_wait_s: float
    waiting_max: int  # requests a process lets wait
    refunds_max: int  # streams of an account a day that were cut off and refunded, outside incidents


class CompleteAudio(Struct, frozen=True, kw_only=True):
    """Finished speech. `price`, and what is left to spend (None: unlimited), in micro-credits."""

    job: JobStatus
    price: int
    spendable: int | None
    replayed: bool


class LiveAudio:
    """Speech that has begun to sound. To be closed by whoever has it, whatever happens."""

    def __init__(
        self, answers: "SynchronousSpeech", call: "_Call", first: bytes, rest: AsyncIterator[bytes]
    ) -> None:
        self.job_id: UUID = call.job_id
        self.format: Format = call.format
        self.rate_hz: int = call.rate_hz
        self.engine: str = call.engine
        self._answers = answers
        self._call = call
        self._first = first
        self._rest = rest

    async def chunks(self) -> AsyncIterator[bytes]:
        """The audio, the first of it at once. Raises a refusal where it cannot go on: it is never short."""
        try:
            yield self._first
            async for chunk in self._rest:
                yield chunk
        except DomainError as error:
            self._call.job_has_ended = error.job_has_ended
            raise

    def close(self, ending: Ending) -> None:
        """Listen no more."""
        self._answers.end_stream(self._call, ending)


class _Call(Struct, kw_only=True):
    """One request for the audio of a job. `owner` None: the job goes on when its caller leaves."""

    job_id: UUID
    engine: str
    format: Format
    rate_hz: int = 0
    wait_s: float
    place: Place | None = None  # among the streams of its caller
    owner: Principal | None
    replayed: bool = False
    is_overheard: bool = False  # the job was queued for later
    job_has_ended: bool = False  # with its price settled, while we listened


class SynchronousSpeech:
    """What every dialect calls for speech in the answer."""

    def __init__(
        self,
        speech: SpeechService,
        record: Database,
        signals: JobNotifications,
        store: Objects,
        streams: ConcurrentStreams,
        store_state: StoreHealth,
        limits: SynchronousLimits,
    ) -> None:
        self._speech = speech
        self._record = record
        self._signals = signals
        self._store = store
        self._store_state = store_state
        self._limits = limits
        self._waiting = 0
        self._streams = streams
        self._listeners: Counter[UUID] = Counter()  # of jobs queued for later

    async def enqueue(self, who: Principal, request: SpeechRequest, key: str | None, *, route: str) -> Ticket:
        """The job alone, for a caller who will come back for it."""
        most = self._limits.characters_max
        return await self._speech.submit(who, request, key, route=route, characters_max=most)

    async def complete(
        self, who: Principal, request: SpeechRequest, key: str | None, *, route: str
    ) -> CompleteAudio:
        """The speech when it is finished. Raises a job's refusals, InFlight, and Unavailable in the end."""
        with self._place():
            await self._store_state.require()
            call = await self._queued(who, request, key, route=route, live=False)
            if call.replayed:
                return await self._replayed(call.job_id)
            with self._cancelling(call):
                look = partial(self._final, call.job_id)
                job = await self._signals.until(call.job_id, look, within_s=call.wait_s)
            return await self._spoken(job or await self._given_up(call))

    async def stream(
        self, who: Principal, request: SpeechRequest, key: str | None, *, route: str
    ) -> LiveAudio | CompleteAudio:
        """The speech from its first sound on; a replay is finished. Raises as `whole`, TooManyStreams, and
        TooManyRefunds.
        """
        async with self._stream(self._streams.take(who)) as (stream, place):
            await self._store_state.require()
            if key is None:  # with one, nothing is refunded
                await self._speech.check_refunds(who, refunds_max=self._limits.refunds_max)
            call = await self._queued(who, request, key, route=route, live=True)
            if call.replayed:
                return await self._replayed(call.job_id)
            call.place = place
            sounding = await self._begun(call)
            if sounding is None:
                return await self._spoken(await self._given_up(call))
            stream.pop_all()  # it is free again when the sounding is closed
            return sounding

    async def attach(self, job: JobStatus, who: Principal | None, *, address: str) -> LiveAudio:
        """A job queued for later, from its first sound on: one of its owner's streams, or of an address.

        Raises Unavailable, TooManyStreams, NotFound.
        """
        found = FORMATS.get(job.format)
        if found is None:
            raise NotFound("This job makes no audio.")
        is_owner = who is not None and who.account == job.owner
        taking = self._streams.take(who) if who and is_owner else self._streams.take_stranger(address)
        async with self._stream(taking) as (stream, place):
            await self._store_state.require()
            self._listeners[job.id] += 1
            stream.callback(self._stop_listening, job.id)
            await self._speech.listen(job.id, engine=job.engine, owner=job.owner)
            call = _Call(
                job_id=job.id,
                engine=job.engine,
                format=found,
                wait_s=self._limits.first_audio_wait_s,
                place=place,
                owner=None,
                is_overheard=True,
            )
            sounding = await self._begun(call, attempt=job.attempt)
            if sounding is None:
                raise Unavailable(
                    "There is no audio yet. Please ask again in a moment.", retry_after_s=_RETRY_S
                )
            stream.pop_all()
            return sounding

    def _stop_listening(self, job: UUID) -> None:
        """The last listener to leave a job that was queued for later says so."""
        self._listeners[job] -= 1
        if not self._listeners[job]:
            del self._listeners[job]
            self._signals.beside(self._speech.unlisten(job))

    async def _begun(self, call: _Call, *, attempt: int = 1) -> LiveAudio | None:
        """The audio once it sounds; None: not in time."""
        listening = LiveStreamReader(self._signals, self._speech, self._store, call.job_id, attempt=attempt)
        chunks = listening.chunks()
        with self._cancelling(call):
            try:
                async with asyncio.timeout(self._limits.first_audio_wait_s):
                    first = await anext(chunks, b"")
            except TimeoutError:
                return None
            if not first:
                raise SpeechFailed("no_audio")
        return LiveAudio(self, call, first, chunks)

    def end_stream(self, call: _Call, ending: Ending) -> None:
        """The stream is over. Without a key nobody comes back for the job: it is cancelled where its caller
        left, and costs nothing where a failure of ours broke it off. A job that has ended is settled.
        """
        if call.place is not None:
            call.place.close()
        if call.is_overheard:
            self._stop_listening(call.job_id)
        if ending == "left":
            self._leave(call)
        elif ending == "broken" and call.owner is not None and not call.job_has_ended:
            self._signals.beside(self._break_off(call, call.owner))

    @contextmanager
    def _place(self) -> Generator[None]:
        """One of the places for requests that wait."""
        if self._waiting >= self._limits.waiting_max:
            raise Unavailable("Too many requests are waiting for speech.", retry_after_s=_RETRY_S)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def _stream(self, taking: Awaitable[Place]) -> AsyncGenerator[tuple[ExitStack, Place]]:
        """A place to wait, and one of the caller's streams; whoever empties the stack keeps it."""
        place = await taking
        with ExitStack() as stack:
            stack.callback(place.close)
            with self._place():
                yield stack, place

    async def _queued(
        self, who: Principal, request: SpeechRequest, key: str | None, *, route: str, live: bool
    ) -> _Call:
        """The job queued; where the caller leaves meanwhile, it is queued first and then cancelled."""
        most = self._limits.characters_max
        submitting = asyncio.ensure_future(
            self._speech.submit(who, request, key, route=route, characters_max=most, live=live)
        )
        try:
            return self._call(who, await asyncio.shield(submitting), is_keyed=key is not None)
        except asyncio.CancelledError:
            self._signals.beside(self._leave_queued(who, submitting, is_keyed=key is not None))
            raise

    async def _leave_queued(
        self, who: Principal, submitting: "asyncio.Future[Ticket]", *, is_keyed: bool
    ) -> None:
        with suppress(DomainError):
            call = self._call(who, await submitting, is_keyed=is_keyed)
            if not call.replayed:
                self._leave(call)

    def _call(self, who: Principal, ticket: Ticket, *, is_keyed: bool) -> _Call:
        return _Call(
            job_id=ticket.job_id,
            engine=ticket.engine,
            format=ticket.plan.format,
            rate_hz=ticket.plan.rate_hz,
            wait_s=self._limits.first_audio_wait_s + _SLACK * ticket.plan.cost_us / 1e6,
            owner=None if is_keyed else who,
            replayed=ticket.replayed,
        )

    @contextmanager
    def _cancelling(self, call: _Call) -> Generator[None]:
        """Whoever does not get to the end of the block has left, or must."""
        try:
            yield
        except BaseException:
            self._leave(call)
            raise

    def _leave(self, call: _Call) -> None:
        if call.owner is not None:
            self._signals.beside(self._cancel(call, call.owner))

    async def _cancel(self, call: _Call, owner: Principal) -> None:
        """Cancel the job, unless it has ended."""

        async def cancel() -> None:
            with suppress(TooLate):
                await self._speech.cancel(owner, str(call.job_id))

        await _insist(cancel)

    async def _break_off(self, call: _Call, owner: Principal) -> None:
        await _insist(lambda: self._speech.break_off(owner, call.job_id))

    async def _given_up(self, call: _Call) -> JobStatus:
        """Nobody waits any longer. The job, where it has ended just now; else raises Unavailable."""
        if call.owner is None:
            message = "The speech is not ready yet, and goes on. Send the request again with the same key."
            raise Unavailable(message, retry_after_s=_RETRY_S)
        await self._cancel(call, call.owner)
        job = await self._speech.status(str(call.job_id))
        if job.state != "cancelled":
            return job
        settled = settled_in_words(job)
        message = f"The engines are busy: no audio came in time. {settled} Please try again later."
        raise Unavailable(message, retry_after_s=_RETRY_S)

    async def _final(self, job_id: UUID) -> JobStatus | None:
        """The job once it has ended, well or not."""
        job = await self._speech.status(str(job_id))
        return None if job.state in ("queued", "processing") else job

    async def _replayed(self, job_id: UUID) -> CompleteAudio:
        job = await self._final(job_id)
        if job is None:
            raise InFlight(
                "The request with this Idempotency-Key has not ended yet. Send it again in a moment."
            )
        return await self._spoken(job, replayed=True)

    async def _spoken(self, job: JobStatus, *, replayed: bool = False) -> CompleteAudio:
        """The finished speech. Raises why there is none."""
        if job.state != "completed":
            raise failure(job)
        check_audio(job)
        async with self._record.connection() as connection:
            row = await connection.fetchrow(query("price_and_rest"), job.id)
        assert row is not None
        return CompleteAudio(job=job, price=row["price"], spendable=row["spendable"], replayed=replayed)


async def _insist(act: Callable[[], Awaitable[None]]) -> None:
    """Do it, again where the record is out of reach."""
    for tries_left in reversed(range(_RECORD_TRIES)):
        try:
            return await act()
        except Unavailable:
            if not tries_left:
                raise
            await asyncio.sleep(_RETRY_S)
    return None
