"""Speech as bytes: finished, from the store; or live, as it is made. Headers that every dialect has."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog
from litestar import Response
from msgspec import Struct

from app.api.respond_async import Accepted, accepted, prefers_async
from app.domain.billing.credits import in_words
from app.domain.speech.outcomes import gone
from app.domain.speech.synchronous import CompleteAudio, LiveAudio, SynchronousSpeech
from app.domain.speech.validation import SpeechRequest
from app.domain.store_health import store_away
from app.http.bodies import AnyRequest
from app.http.disconnects import LiveResponse, cancel_on_disconnect
from db.formats import FORMATS
from db.storage.objects import Objects, StoreError
from db.types import JobStatus

EXPOSED = (
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "Idempotent-Replayed",
    "Preference-Applied",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "X-Bits-Per-Sample",
    "X-Channels",
    "X-Credits-Remaining",
    "X-Credits-Used",
    "X-Duration-Ms",
    "X-Job-ID",
    "X-Processing-Time-Ms",
    "X-Request-ID",
    "X-Sample-Rate",
    "X-Voice-Engine",
)  # what a browser's script may read
ENGINE = "X-Voice-Engine"  # of every answer to a request for speech: who speaks
_BITS, _CHANNELS = 16, 1


class AudioHeaders(Struct, frozen=True):
    """Another form for audio on its way out: its content type, and what makes it of the audio's chunks."""

    content_type: str
    wrap: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]


class AudioResponder:
    """Answers requests for speech with its bytes; with the job, of that shape, where they prefer it."""

    def __init__(self, answers: SynchronousSpeech, store: Objects, later: type[Accepted] = Accepted) -> None:
        self._answers = answers
        self._store = store
        self._shape = later

    async def whole(self, request: AnyRequest, wanted: SpeechRequest, *, route: str) -> Response[Any]:
        """The finished speech. A caller who leaves meanwhile is done with it."""
        if prefers_async(request):
            return await self._later(request, wanted, route)
        who, key = request.scope["user"], request.headers.get("idempotency-key")
        act = self._answers.complete(who, wanted, key, route=route)
        return await self._finished(await cancel_on_disconnect(request.receive, act))

    async def live(
        self, request: AnyRequest, wanted: SpeechRequest, *, route: str, dress: AudioHeaders | None = None
    ) -> Response[Any]:
        """The speech from its first sound on; finished where the same request came before."""
        if prefers_async(request):
            return await self._later(request, wanted, route)
        who, key = request.scope["user"], request.headers.get("idempotency-key")
        act = self._answers.stream(who, wanted, key, route=route)
        found = await cancel_on_disconnect(request.receive, act)
        if isinstance(found, CompleteAudio):
            return await self._finished(found, dress)
        headers = {
            "X-Sample-Rate": str(found.rate_hz),
            "X-Bits-Per-Sample": str(_BITS),
            "X-Channels": str(_CHANNELS),
        }
        if "x-request-id" not in request.headers:  # by which GET /v1/jobs/{id} tells the totals later
            headers["X-Request-ID"] = str(found.job_id)
        return stream_live(found, headers, dress)

    async def _later(self, request: AnyRequest, wanted: SpeechRequest, route: str) -> Response[Any]:
        who, key = request.scope["user"], request.headers.get("idempotency-key")
        return accepted(await self._answers.enqueue(who, wanted, key, route=f"{route} later"), self._shape)

    async def _finished(self, spoken: CompleteAudio, dress: AudioHeaders | None = None) -> Response[Any]:
        job, left = spoken.job, spoken.spendable
        headers = {
            "Cache-Control": "no-store",
            "X-Job-ID": str(job.id),
            "X-Credits-Used": in_words(spoken.price),
            "X-Credits-Remaining": "unlimited" if left is None else in_words(left),
            "X-Duration-Ms": str(job.duration_ms or 0),
            ENGINE: job.engine,
        }
        if spoken.replayed:
            headers["Idempotent-Replayed"] = "true"
        chunks = await read_object(self._store, job.object, 0, job.audio_bytes or 0)
        if dress is not None:
            return LiveResponse(dress.wrap(chunks), headers=headers, media_type=dress.content_type)
        headers["Content-Length"] = str(job.audio_bytes or 0)
        headers["Content-Disposition"] = disposition("attachment", job)
        return LiveResponse(chunks, headers=headers, media_type=job.content_type or "audio/wav")


def disposition(how: str, job: JobStatus) -> str:
    """Content-Disposition of a job's audio: its name ends as its format does."""
    found = (each.extension for each in FORMATS.values() if each.content_type == job.content_type)
    return f'{how}; filename="codevoice.{next(found, "wav")}"'


async def read_object(store: Objects, key: str | None, start: int, end: int) -> AsyncIterator[bytes]:
    """The object's chunks; the first is here before any header is sent, so that a lost object is said so."""
    try:
        chunks = await store.read(key or "", start, end)
        first = await anext(chunks, b"")
    except FileNotFoundError:
        structlog.get_logger().error("object_missing")
        raise gone("This audio is gone. Generate it anew.") from None
    except StoreError as error:
        structlog.get_logger().warning("store_away", reason=str(error))
        raise store_away() from error
    return _checked(first, chunks, end - start)


async def _checked(first: bytes, rest: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    yield first
    left = size - len(first)
    async for chunk in rest:
        left -= len(chunk)
        yield chunk
    if left:
        structlog.get_logger().error("object_damaged", bytes_missing=left)
        raise StoreError("The object is not as long as its row says.")


def stream_live(
    sounding: LiveAudio, headers: dict[str, str], dress: AudioHeaders | None = None
) -> Response[Any]:
    """Live audio, with these headers besides its own."""
    chunks = sounding.chunks()
    return LiveResponse(
        chunks if dress is None else dress.wrap(chunks),
        headers={
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Accel-Buffering": "no",  # proxies are to pass it on as it comes
            "X-Job-ID": str(sounding.job_id),
            ENGINE: sounding.engine,
            **headers,
        },
        media_type=sounding.format.content_type if dress is None else dress.content_type,
        ended=sounding.close,
    )
