"""Speech in the answer, whole or while it is made: who waits how long, and what leaving costs.

A caller who leaves is a cancelled task: without an Idempotency-Key its job is cancelled, with one it goes on.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Literal
from uuid import UUID

from msgspec import Struct

from app.domain.endings import check_audio, failure
from app.domain.errors import (
    DomainError,
    InFlight,
    NotFound,
    SpeechFailed,
    TooLate,
    TooManyStreams,
    Unavailable,
)
from app.domain.listening import Listening
from app.domain.plan import SpeechRequest
from app.domain.principals import Principal
from app.domain.record import Record
from app.domain.signals import Signals
from app.domain.speech import Speech, Ticket
from db.formats import FORMATS, Format
from db.objects import Objects
from db.queries import query
from db.rows import JobStatus

_SLACK = 2  # an engine may take so many times what it expects
_RETRY_S = 1
_RECORD_TRIES = 3


Ending = Literal["whole", "left", "broken"]  # of a stream: given to its end, its caller gone, our own fault


class AnswerLimits(Struct, frozen=True, kw_only=True):
    """The operator's choices for speech in the answer."""

    characters_max: int
    first_audio_wait_s: float
    waiting_max: int  # requests a process lets wait
    streams_max: int  # a key, in a process


class Spoken(Struct, frozen=True, kw_only=True):
    """Finished speech. `price`, and what is left to spend (None: unlimited), in micro-credits."""

    job: JobStatus
    price: int
    spendable: int | None
    replayed: bool


class Sounding:
    """Speech that has begun to sound. To be closed by whoever has it, whatever happens."""

    def __init__(self, answers: "Answers", call: "_Call", first: bytes, rest: AsyncIterator[bytes]) -> None:
        self.job_id: UUID = call.job_id
        self.format: Format = call.format
        self.rate_hz: int = call.rate_hz
        self._answers = answers
        self._call = call
        self._first = first
        self._rest = rest

    async def chunks(self) -> AsyncIterator[bytes]:
        """The audio, the first of it at once. Raises a refusal where it cannot go on: it is never short."""
        self._call.heard = True
        self._answers.note_heard(self.job_id)
        yield self._first
        async for chunk in self._rest:
            yield chunk

    def close(self, ending: Ending) -> None:
        """Listen no more."""
        self._answers.end_stream(self._call, ending)


class _Call(Struct, kw_only=True):
    """One request for the audio of a job. `owner` None: the job goes on when its caller leaves."""

    job_id: UUID
    format: Format
    rate_hz: int = 0
    wait_s: float
    slot: UUID  # whose streams are counted together
    owner: Principal | None
    replayed: bool = False
    heard: bool = False


class Answers:
    """What every dialect calls for speech in the answer."""

    def __init__(
        self, speech: Speech, record: Record, signals: Signals, store: Objects, limits: AnswerLimits
    ) -> None:
        self._speech = speech
        self._record = record
        self._signals = signals
        self._store = store
        self._limits = limits
        self._waiting = 0
        self._streams: Counter[UUID] = Counter()

    async def later(self, who: Principal, request: SpeechRequest, key: str | None, *, route: str) -> Ticket:
        """The job alone, for a caller who will come back for it."""
        most = self._limits.characters_max
        return await self._speech.submit(who, request, key, route=route, characters_max=most)

    async def whole(self, who: Principal, request: SpeechRequest, key: str | None, *, route: str) -> Spoken:
        """The speech when it is finished. Raises a job's refusals, InFlight, and Unavailable in the end."""
        with self._place():
            call = await self._queued(who, request, key, route=route, live=False)
            if call.replayed:
                return await self._replayed(call.job_id)
            with self._cancelling(call):
                look = partial(self._final, call.job_id)
                job = await self._signals.until(call.job_id, look, within_s=call.wait_s)
            return await self._spoken(job or await self._given_up(call))

    async def live(
        self, who: Principal, request: SpeechRequest, key: str | None, *, route: str
    ) -> Sounding | Spoken:
        """The speech from its first sound on; a replay is finished. Raises as `whole`, and TooManyStreams."""
        with self._place(), self._stream(_slot(who)) as stream:
            call = await self._queued(who, request, key, route=route, live=True)
            if call.replayed:
                return await self._replayed(call.job_id)
            sounding = await self._begun(call)
            if sounding is None:
                return await self._spoken(await self._given_up(call))
            stream.pop_all()  # it is free again when the sounding is closed
            return sounding

    async def overheard(self, job: JobStatus) -> Sounding:
        """A job queued for later, from its first sound on. Raises Unavailable, TooManyStreams, NotFound."""
        found = FORMATS.get(job.format)
        if found is None:
            raise NotFound("This job makes no audio.")
        with self._place(), self._stream(job.owner) as stream:
            await self._speech.listen(job.id)
            wait_s = self._limits.first_audio_wait_s
            call = _Call(job_id=job.id, format=found, wait_s=wait_s, slot=job.owner, owner=None)
            sounding = await self._begun(call, attempt=job.attempt)
            if sounding is None:
                raise Unavailable(
                    "There is no audio yet. Please ask again in a moment.", retry_after_s=_RETRY_S
                )
            stream.pop_all()
            return sounding

    async def _begun(self, call: _Call, *, attempt: int = 1) -> Sounding | None:
        """The audio once it sounds; None: not in time."""
        listening = Listening(self._signals, self._speech, self._store, call.job_id, attempt=attempt)
        chunks = listening.chunks()
        with self._cancelling(call):
            try:
                async with asyncio.timeout(self._limits.first_audio_wait_s):
                    first = await anext(chunks, b"")
            except TimeoutError:
                return None
            if not first:
                raise SpeechFailed("no_audio")
        return Sounding(self, call, first, chunks)

    def note_heard(self, job: UUID) -> None:
        """From now on the job costs its price, however it ends but by our fault."""
        self._signals.beside(self._speech.hear(job))

    def end_stream(self, call: _Call, ending: Ending) -> None:
        """The stream is over. Without a key nobody comes back for the job: it is cancelled where its caller
        left, and costs nothing where we broke off.
        """
        self._free(call.slot)
        if ending == "left":
            self._leave(call)
        elif ending == "broken" and call.owner is not None:
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

    @contextmanager
    def _stream(self, slot: UUID) -> Generator[ExitStack]:
        """One of the streams a key may have; whoever empties the stack keeps it."""
        most = self._limits.streams_max
        if self._streams[slot] >= most:
            raise TooManyStreams(
                f"At most {most} streams at once are allowed. Wait for one to end.", limit=most
            )
        self._streams[slot] += 1
        with ExitStack() as stack:
            stack.callback(self._free, slot)
            yield stack

    def _free(self, slot: UUID) -> None:
        self._streams[slot] -= 1
        if not self._streams[slot]:
            del self._streams[slot]

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
            format=ticket.plan.format,
            rate_hz=ticket.plan.rate_hz,
            wait_s=self._limits.first_audio_wait_s + _SLACK * ticket.plan.cost_us / 1e6,
            slot=_slot(who),
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
                await self._speech.cancel(owner, str(call.job_id), heard=call.heard)

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
        if job.state == "completed":
            return job
        message = "The engines are busy: no audio came in time. Nothing was charged; please try again later."
        raise Unavailable(message, retry_after_s=_RETRY_S)

    async def _final(self, job_id: UUID) -> JobStatus | None:
        """The job once it is completed. Raises why it never will be."""
        job = await self._speech.status(str(job_id))
        if job.state in ("queued", "processing"):
            return None
        if job.state != "completed":
            raise failure(job)
        return job

    async def _replayed(self, job_id: UUID) -> Spoken:
        job = await self._final(job_id)
        if job is None:
            raise InFlight(
                "The request with this Idempotency-Key has not ended yet. Send it again in a moment."
            )
        return await self._spoken(job, replayed=True)

    async def _spoken(self, job: JobStatus, *, replayed: bool = False) -> Spoken:
        check_audio(job)
        async with self._record.connection() as connection:
            row = await connection.fetchrow(query("price_and_rest"), job.id)
        assert row is not None
        return Spoken(job=job, price=row["price"], spendable=row["spendable"], replayed=replayed)


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


def _slot(who: Principal) -> UUID:
    return who.key or who.account
