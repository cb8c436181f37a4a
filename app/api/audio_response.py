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
from app.http.api_request import ApiRequest
from app.http.disconnects import LiveResponse, cancel_on_disconnect
from app.http.json_response import replayed
from app.openapi.operations import BYTES
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
    """How audio is sent: its content type, and the function that wraps its chunks."""

    content_type: str
    wrap: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]] = lambda chunks: chunks


class SpeechCall(Struct, frozen=True, kw_only=True):
    """A request for speech: what is wanted, by which route, and the headers that change the answer."""

    wanted: SpeechRequest
    route: str
    idempotency_key: str | None
    prefer: str | None


class AudioResponder:
    """Responds to requests for speech with audio or, for `Prefer: respond-async`, with the job."""

    def __init__(self, answers: SynchronousSpeech, store: Objects) -> None:
        self._answers = answers
        self._store = store

    async def complete(
        self, request: ApiRequest, call: SpeechCall, shape: type[Accepted] = Accepted
    ) -> Response[Any]:
        """Respond with the complete audio. A client that disconnects meanwhile abandons the request."""
        if prefers_async(call.prefer):
            return await self._enqueue(request, call, shape)
        work = self._answers.complete(request.user, call.wanted, call.idempotency_key, route=call.route)
        return await self._respond(request, await cancel_on_disconnect(request.receive, work))

    async def stream(
        self,
        request: ApiRequest,
        call: SpeechCall,
        shape: type[Accepted] = Accepted,
        *,
        audio_headers: AudioEncoding | None = None,
    ) -> Response[Any]:
        """Respond with live audio; with complete audio if the same request has already completed."""
        if prefers_async(call.prefer):
            return await self._enqueue(request, call, shape)
        work = self._answers.stream(request.user, call.wanted, call.idempotency_key, route=call.route)
        found = await cancel_on_disconnect(request.receive, work)
        if isinstance(found, CompleteAudio):
            return await self._respond(request, found, audio_headers)
        headers = {
            "X-Sample-Rate": str(found.rate_hz),
            "X-Bits-Per-Sample": str(_BITS),
            "X-Channels": str(_CHANNELS),
        }
        if "x-request-id" not in request.headers:  # for GET /v1/jobs/{id}, which later returns the totals
            headers["X-Request-ID"] = str(found.job_id)
        return stream_live(
            found, headers, audio_headers or AudioEncoding(accepted_type(request, found.format.content_type))
        )

    async def _enqueue(self, request: ApiRequest, call: SpeechCall, shape: type[Accepted]) -> Response[Any]:
        route = f"{call.route} later"
        ticket = await self._answers.enqueue(request.user, call.wanted, call.idempotency_key, route=route)
        return accepted(ticket, shape)

    async def _respond(
        self, request: ApiRequest, complete: CompleteAudio, audio_headers: AudioEncoding | None = None
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
        headers |= replayed(complete.replayed)
        chunks = await read_object(self._store, job.object, 0, job.audio_bytes or 0)
        if audio_headers is not None:
            return LiveResponse(
                audio_headers.wrap(chunks), headers=headers, media_type=audio_headers.content_type
            )
        headers["Content-Length"] = str(job.audio_bytes or 0)
        headers["Content-Disposition"] = disposition("attachment", job)
        media_type = accepted_type(request, job.content_type or "audio/wav")
        return LiveResponse(chunks, headers=headers, media_type=media_type)


def accepted_type(request: ApiRequest, content_type: str) -> str:
    """The audio's content type, or that of plain bytes if the client accepts nothing else.

    OpenAI's SDKs accept plain bytes and expect the audio's type all the same, as OpenAI answers.
    """
    types = {kind for kind in (part.strip() for part in request.headers.get("accept", "").split(",")) if kind}
    wants_bytes = types == {BYTES} and "x-stainless-lang" not in request.headers
    return BYTES if wants_bytes else content_type


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
