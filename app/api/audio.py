"""GET /tts/audio/{job_id}: finished audio, whole or in part, streamed from the store."""

from collections.abc import AsyncIterator
from typing import Any

import structlog
from litestar import Response, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from app.api.bodies import AnyRequest
from app.api.ranges import Part, matches, part_wanted
from app.auth import Authenticator
from app.domain.audio import AudioAddresses, check_audio, gone
from app.domain.errors import Unauthenticated, Unavailable
from app.domain.principals import Principal
from app.domain.speech import Speech
from db.metrics import STORE_FAILURES
from db.objects import Objects, StoreError
from db.rows import JobStatus

_EXTENSIONS = {
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/aac": "aac",
    "audio/pcm": "pcm",
}


def audio_route(
    speech: Speech, addresses: AudioAddresses, authenticator: Authenticator, store: Objects
) -> HTTPRouteHandler:
    """Row 4."""

    @route("/tts/audio/{job_id:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"public": True})
    async def speech_audio(
        request: AnyRequest,
        job_id: FromPath[str],
        expires: FromQuery[str] = "",
        signature: FromQuery[str] = "",
    ) -> Response[Any]:
        job = await speech.status(job_id)
        check_audio(job)
        who = None
        if addresses.needs_owner(job, expires, signature):
            who = await _who(request, authenticator)
        addresses.admit(job, who, expires, signature)
        return await _answer(request, job, store)

    return speech_audio


async def _who(request: AnyRequest, authenticator: Authenticator) -> Principal | None:
    """The caller, where it says who it is; this route is public, so a wrong key is as good as none."""
    try:
        return await authenticator.of_headers(request.scope["headers"])
    except Unauthenticated:
        return None


async def _answer(request: AnyRequest, job: JobStatus, store: Objects) -> Response[Any]:
    size = job.audio_bytes or 0
    etag = f'"{(job.sha256 or b"").hex()}"'
    headers = {"ETag": etag, "Cache-Control": "private", "Referrer-Policy": "no-referrer"}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(None, status_code=304, headers=headers)
    part = None
    if request.method == "GET":
        asked, condition = request.headers.get("range"), request.headers.get("if-range")
        part = part_wanted(asked, condition, size_bytes=size, etag=etag)
    sent = part or Part(0, size)
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    headers |= _describing(job, sent)
    media_type = headers["Content-Type"]
    status = 200 if part is None else 206
    if request.method == "HEAD" or size == 0:
        return Response(b"", status_code=status, headers=headers, media_type=media_type)
    chunks = await _read(store, job, sent)
    return Stream(chunks, status_code=status, headers=headers, media_type=media_type)


def _describing(job: JobStatus, sent: Part) -> dict[str, str]:
    content_type = job.content_type or "audio/wav"
    name = f"codevoice.{_EXTENSIONS.get(content_type.partition(';')[0], 'wav')}"
    return {
        "Content-Type": content_type,
        "Content-Length": str(sent.end - sent.start),
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'inline; filename="{name}"',
    }


async def _read(store: Objects, job: JobStatus, sent: Part) -> AsyncIterator[bytes]:
    """The chunks; the first is here before any header is sent, so that a lost object is said so."""
    try:
        chunks = await store.read(job.object or "", sent.start, sent.end)
        first = await anext(chunks, b"")
    except FileNotFoundError:
        structlog.get_logger().error("object_missing", key=job.object)
        raise gone("This audio is gone. Generate it anew.") from None
    except StoreError as error:
        STORE_FAILURES.labels("read").inc()
        structlog.get_logger().warning("store_away", reason=str(error)[:200])
        raise Unavailable("The audio store is out of reach. Please try again in a moment.") from error
    return _after(first, chunks)


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
