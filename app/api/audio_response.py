"""Audio responses for every dialect: complete, from the object store, or live while it is made."""

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
)  # response headers that scripts of other sites may read
ENGINE = "X-Voice-Engine"  # in every response to a request for speech: the engine that speaks
_BITS, _CHANNELS = 16, 1


class AudioEncoding(Struct, frozen=True):
    """Another encoding of live audio: its content type, and the function that wraps the audio's chunks."""

    content_type: str
    wrap: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]


class AudioResponder:
    """Responds to requests for speech with audio or, for `Prefer: respond-async`, with the job."""

    def __init__(self, answers: SynchronousSpeech, store: Objects, shape: type[Accepted] = Accepted) -> None:
        self._answers = answers
        self._store = store
        self._shape = shape

    async def complete(self, request: AnyRequest, wanted: SpeechRequest, *, route: str) -> Response[Any]:
        """Respond with the complete audio. A client that disconnects meanwhile abandons the request."""
        if prefers_async(request):
            return await self._enqueue(request, wanted, route)
        who, key = request.scope["user"], request.headers.get("idempotency-key")
        work = self._answers.complete(who, wanted, key, route=route)
        return await self._respond(await cancel_on_disconnect(request.receive, work))

    async def stream(
        self,
        request: AnyRequest,
        wanted: SpeechRequest,
        *,
        route: str,
        audio_headers: AudioEncoding | None = None,
    ) -> Response[Any]:
        """Respond with live audio; with complete audio if the same request has already completed."""
        if prefers_async(request):
            return await self._enqueue(request, wanted, route)
        who, key = request.scope["user"], request.headers.get("idempotency-key")
        work = self._answers.stream(who, wanted, key, route=route)
        found = await cancel_on_disconnect(request.receive, work)
        if isinstance(found, CompleteAudio):
            return await self._respond(found, audio_headers)
        headers = {
            "X-Sample-Rate": str(found.rate_hz),
            "X-Bits-Per-Sample": str(_BITS),
            "X-Channels": str(_CHANNELS),
        }
        if "x-request-id" not in request.headers:  # for GET /v1/jobs/{id}, which later returns the totals
            headers["X-Request-ID"] = str(found.job_id)
        return stream_live(found, headers, audio_headers)

    async def _enqueue(self, request: AnyRequest, wanted: SpeechRequest, route: str) -> Response[Any]:
        who, key = request.scope["user"], request.headers.get("idempotency-key")
        return accepted(await self._answers.enqueue(who, wanted, key, route=f"{route} later"), self._shape)

    async def _respond(
        self, complete: CompleteAudio, audio_headers: AudioEncoding | None = None
    ) -> Response[Any]:
        job, left = complete.job, complete.spendable
        headers = {
            "Cache-Control": "no-store",
            "X-Job-ID": str(job.id),
            "X-Credits-Used": in_words(complete.price),
            "X-Credits-Remaining": "unlimited" if left is None else in_words(left),
            "X-Duration-Ms": str(job.duration_ms or 0),
            ENGINE: job.engine,
        }
        if complete.replayed:
            headers["Idempotent-Replayed"] = "true"
        chunks = await read_object(self._store, job.object, 0, job.audio_bytes or 0)
        if audio_headers is not None:
            return LiveResponse(
                audio_headers.wrap(chunks), headers=headers, media_type=audio_headers.content_type
            )
        headers["Content-Length"] = str(job.audio_bytes or 0)
        headers["Content-Disposition"] = disposition("attachment", job)
        return LiveResponse(chunks, headers=headers, media_type=job.content_type or "audio/wav")


def disposition(how: str, job: JobStatus) -> str:
    """Content-Disposition of a job's audio; the file name has the extension of its format."""
    found = (each.extension for each in FORMATS.values() if each.content_type == job.content_type)
    return f'{how}; filename="codevoice.{next(found, "wav")}"'


async def read_object(store: Objects, key: str | None, start: int, end: int) -> AsyncIterator[bytes]:
    """The object's chunks. The first is read before any header is sent, so a lost object still gets an error.

    Raises Gone and Unavailable.
    """
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
    audio: LiveAudio, headers: dict[str, str], audio_headers: AudioEncoding | None = None
) -> Response[Any]:
    """The response with live audio, with these headers added to its own."""
    chunks = audio.chunks()
    return LiveResponse(
        chunks if audio_headers is None else audio_headers.wrap(chunks),
        headers={
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Accel-Buffering": "no",  # proxies must not buffer it
            "X-Job-ID": str(audio.job_id),
            ENGINE: audio.engine,
            **headers,
        },
        media_type=audio.format.content_type if audio_headers is None else audio_headers.content_type,
        ended=audio.close,
    )
