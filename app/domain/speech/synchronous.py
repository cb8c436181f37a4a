"""Synchronous speech: complete or streamed in the response; timeouts, and what a disconnect costs.

A client's disconnect cancels the task: its job is cancelled too, unless it has an Idempotency-Key.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Literal
from uuid import UUID

from msgspec import Struct

from app.domain.billing.settlement import settled_in_words
from app.domain.database import Database
from app.domain.errors import DomainError, InFlight, NotFound, SpeechFailed, TooLate, Unavailable
from app.domain.identity.principals import Principal
from app.domain.jobs.job_call import JobCall, retried
from app.domain.jobs.notifications import JobNotifications
from app.domain.speech.live_stream import LiveStreamReader
from app.domain.speech.outcomes import check_audio, failure
from app.domain.speech.service import SpeechService, Ticket
from app.domain.speech.validation import SpeechRequest
from app.domain.store_health import StoreHealth
from app.domain.stream_limits import ConcurrentStreams, StreamSlot
from db.formats import FORMATS, Format
from db.postgres.queries import query
from db.settings import PositiveInt, Seconds
from db.storage.objects import Objects
from db.types import JobStatus

_SLACK = 2  # an engine may take so many times its estimate
_RETRY_S = 1


Ending = Literal["whole", "left", "broken"]  # of a stream: complete, client disconnected, failure of ours


class SynchronousLimits(Struct, frozen=True, kw_only=True):
    """The operator's limits on synchronous speech."""

    answer_characters_max: PositiveInt = 5000  # speech returned in the response, whole or streamed
    first_audio_wait_s: Seconds = 60.0  # then 503
    answers_waiting_max: PositiveInt = 2000  # requests waiting for speech in one process, before 503
    stream_refunds_max: PositiveInt = 20  # an account's streams cut off and refunded a day, before 429


class CompleteAudio(Struct, frozen=True, kw_only=True):
    """Finished speech. `price`, and the `spendable` balance (None: unlimited), in micro-credits."""

    job: JobStatus
    price: int
    spendable: int | None
    replayed: bool


class LiveAudio:
    """Speech whose first audio is available. Its holder must close it in every case."""

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
        """The audio, its first part at once, never truncated: a failure is raised as a domain error."""
        try:
            yield self._first
            async for chunk in self._rest:
                yield chunk
        except DomainError as error:
            self._call.job_has_ended = error.job_has_ended
            raise

    def close(self, ending: Ending) -> None:
        """End the stream."""
        self._answers.end_stream(self._call, ending)


class _Call(Struct, kw_only=True):
    """One request for the audio of a job. `request` None: it is attached to a job enqueued before."""

    job_id: UUID
    engine: str
    format: Format
    rate_hz: int = 0
    wait_s: float
    place: StreamSlot | None = None  # the slot among its caller's streams
    owner: Principal | None
    request: JobCall | None
    replayed: bool = False
    job_has_ended: bool = False  # during the stream, so that its price is settled


class SynchronousSpeech:
    """Synchronous speech, for all dialects of the API."""

    def __init__(
        self,
        speech: SpeechService,
        database: Database,
        signals: JobNotifications,
        store: Objects,
        streams: ConcurrentStreams,
        store_state: StoreHealth,
        limits: SynchronousLimits,
    ) -> None:
        self._speech = speech
        self._database = database
        self._signals = signals
        self._store = store
        self._store_state = store_state
        self._limits = limits
        self._waiting = 0
        self._streams = streams
        self._listeners: Counter[UUID] = Counter()  # clients attached to enqueued jobs

    async def enqueue(self, who: Principal, request: SpeechRequest, key: str | None, *, route: str) -> Ticket:
        """Queue the job without waiting for it."""
        most = self._limits.answer_characters_max
        return await self._speech.submit(who, request, key, route=route, characters_max=most)

    async def complete(
        self, who: Principal, request: SpeechRequest, key: str | None, *, route: str
    ) -> CompleteAudio:
        """The finished speech. Raises a submission's errors, a failed job's, InFlight and Unavailable."""
        with self._place():
            await self._store_state.require()
            submission, call = await self._submitted(who, request, key, route=route, live=False)
            if call.replayed:
                return await self._replayed(call.job_id)
            job = await submission.wait(partial(self._final, call.job_id), within_s=call.wait_s)
            return await self._spoken(job or await self._given_up(submission, call))

    async def stream(
        self, who: Principal, request: SpeechRequest, key: str | None, *, route: str
    ) -> LiveAudio | CompleteAudio:
        """The speech from its first audio on; for a replay, the finished speech.

        Raises as `complete`, and TooManyStreams and TooManyRefunds.
        """
        async with self._stream(self._streams.take(who)) as (stream, place):
            await self._store_state.require()
            if key is None:  # streams with a key are not refunded
                await self._speech.check_refunds(who, refunds_max=self._limits.stream_refunds_max)
            submission, call = await self._submitted(who, request, key, route=route, live=True)
            if call.replayed:
                return await self._replayed(call.job_id)
            call.place = place
            with submission.cancelling():
                audio = await self._begun(call)
            if audio is None:
                return await self._spoken(await self._given_up(submission, call))
            stream.pop_all()  # the slot is released when the audio is closed
            return audio

    async def attach(self, job: JobStatus, who: Principal | None, *, address: str) -> LiveAudio:
        """Stream an enqueued job from its first audio on; it counts as its owner's stream, or the address's.

        Raises Unavailable, TooManyStreams, NotFound.
        """
        found = FORMATS.get(job.format)
        if found is None:
            raise NotFound("This job makes no audio.")
        is_owner = who is not None and who.account == job.owner
        taking = self._streams.take(who) if who and is_owner else self._streams.take_for_address(address)
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
                request=None,
            )
            audio = await self._begun(call, attempt=job.attempt)
            if audio is None:
                raise Unavailable(
                    "There is no audio yet. Please ask again in a moment.", retry_after_s=_RETRY_S
                )
            stream.pop_all()
            return audio

    def _stop_listening(self, job: UUID) -> None:
        """Count a listener of an enqueued job out; the last one is recorded in the database."""
        self._listeners[job] -= 1
        if not self._listeners[job]:
            del self._listeners[job]
            self._signals.run_in_background(self._speech.unlisten(job))

    async def _begun(self, call: _Call, *, attempt: int = 1) -> LiveAudio | None:
        """The audio once its first part is there; None if it was not in time."""
        listening = LiveStreamReader(self._signals, self._speech, self._store, call.job_id, attempt=attempt)
        chunks = listening.chunks()
        try:
            async with asyncio.timeout(self._limits.first_audio_wait_s):
                first = await anext(chunks, b"")
        except TimeoutError:
            return None
        if not first:
            raise SpeechFailed("no_audio")
        return LiveAudio(self, call, first, chunks)

    def end_stream(self, call: _Call, ending: Ending) -> None:
        """End the stream. A job without a key is cancelled if its client disconnected, and refunded if a
        failure of ours interrupted it. A job that has ended is settled already.
        """
        if call.place is not None:
            call.place.close()
        if call.request is None:
            self._stop_listening(call.job_id)
        elif ending == "left":
            call.request.abandon()
        elif ending == "broken" and call.owner is not None and not call.job_has_ended:
            self._signals.run_in_background(retried(partial(self._speech.break_off, call.owner, call.job_id)))

    @contextmanager
    def _place(self) -> Generator[None]:
        """Count a waiting request. Raises Unavailable at `answers_waiting_max`."""
        if self._waiting >= self._limits.answers_waiting_max:
            raise Unavailable("Too many requests are waiting for speech.", retry_after_s=_RETRY_S)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def _stream(self, taking: Awaitable[StreamSlot]) -> AsyncGenerator[tuple[ExitStack, StreamSlot]]:
        """A waiting request with a stream slot, which is released at the end unless the stack was emptied."""
        place = await taking
        with ExitStack() as stack:
            stack.callback(place.close)
            with self._place():
                yield stack, place

    async def _submitted(
        self, who: Principal, request: SpeechRequest, key: str | None, *, route: str, live: bool
    ) -> tuple[JobCall, _Call]:
        submission = JobCall(self._signals, partial(self._cancel, who), is_keyed=key is not None)
        most = self._limits.answer_characters_max
        ticket = await submission.submit(
            self._speech.submit(who, request, key, route=route, characters_max=most, live=live), _new_job
        )
        return submission, _Call(
            job_id=ticket.job_id,
            engine=ticket.engine,
            format=ticket.plan.format,
            rate_hz=ticket.plan.rate_hz,
            wait_s=self._limits.first_audio_wait_s + _SLACK * ticket.plan.cost_us / 1e6,
            owner=None if submission.is_keyed else who,
            request=submission,
            replayed=ticket.replayed,
        )

    async def _cancel(self, who: Principal, job: UUID) -> None:
        """Cancel the job, unless it has ended."""
        with suppress(TooLate):
            await self._speech.cancel(who, str(job))

    async def _given_up(self, submission: JobCall, call: _Call) -> JobStatus:
        """Stop waiting. Returns the job if it has ended just now; else raises Unavailable."""
        if submission.is_keyed:
            message = "The speech is not ready yet, and goes on. Send the request again with the same key."
            raise Unavailable(message, retry_after_s=_RETRY_S)
        await submission.cancel()
        job = await self._speech.status(str(call.job_id))
        if job.state != "cancelled":
            return job
        settled = settled_in_words(job)
        message = f"The engines are busy: no audio came in time. {settled} Please try again later."
        raise Unavailable(message, retry_after_s=_RETRY_S)

    async def _final(self, job_id: UUID) -> JobStatus | None:
        """The job if it has ended, in any state."""
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
        """The finished speech. Raises the job's error if there is none."""
        if job.state != "completed":
            raise failure(job)
        check_audio(job)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(query("price_and_rest"), job.id)
        assert row is not None
        return CompleteAudio(job=job, price=row["price"], spendable=row["spendable"], replayed=replayed)


def _new_job(ticket: Ticket) -> UUID | None:
    return None if ticket.replayed else ticket.job_id
