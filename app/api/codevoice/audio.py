"""Audio by job id: complete or in part from the object store, or live while it is made."""

from typing import Any

from litestar import Response, get, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery

from app.api.audio_response import ENGINE, disposition, read_object, stream_live
from app.domain.errors import Unauthenticated
from app.domain.identity.principals import Principal
from app.domain.speech.audio_urls import AudioUrls
from app.domain.speech.outcomes import check_audio
from app.domain.speech.service import SpeechService
from app.domain.speech.synchronous import SynchronousSpeech
from app.http.authentication import Authenticator
from app.http.bodies import AnyRequest
from app.http.disconnects import LiveResponse, cancel_on_disconnect
from app.http.ranges import Part, matches, part_wanted
from app.http.rate_limit import RateLimitGuard
from db.storage.objects import Objects
from db.types import JobStatus


def audio_route(
    speech: SpeechService, addresses: AudioUrls, authenticator: Authenticator, store: Objects
) -> HTTPRouteHandler:
    """`GET` and `HEAD /tts/audio/{job_id}`."""

    @route("/tts/audio/{job_id:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"public": True})
    async def speech_audio(
        request: AnyRequest,
        job_id: FromPath[str],
        expires: FromQuery[str] = "",
        signature: FromQuery[str] = "",
    ) -> Response[Any]:
        job = await speech.status(job_id)
        check_audio(job)
        await _admit(request, job, addresses, authenticator, expires, signature)
        return await _answer(request, job, store)

    return speech_audio


def stream_route(
    speech: SpeechService,
    answers: SynchronousSpeech,
    addresses: AudioUrls,
    authenticator: Authenticator,
    rate_limit: RateLimitGuard,
    store: Objects,
) -> HTTPRouteHandler:
    """`GET /tts/stream/{job_id}`."""

    @get("/tts/stream/{job_id:str}", opt={"public": True, "limit": "poll"})
    async def speech_stream(
        request: AnyRequest,
        job_id: FromPath[str],
        expires: FromQuery[str] = "",
        signature: FromQuery[str] = "",
    ) -> Response[Any]:
        job = await speech.status(job_id)
        await _admit(request, job, addresses, authenticator, expires, signature)
        if job.state in ("queued", "processing"):
            who = await _who(request, authenticator)
            work = answers.attach(job, who, address=rate_limit.address(request.scope))
            return stream_live(await cancel_on_disconnect(request.receive, work), {})
        check_audio(job)
        return await _answer(request, job, store)

    return speech_stream


async def _admit(
    request: AnyRequest,
    job: JobStatus,
    addresses: AudioUrls,
    authenticator: Authenticator,
    expires: str,
    signature: str,
) -> None:
    who = None
    if addresses.needs_owner(job, expires, signature):
        who = await _who(request, authenticator)
    addresses.admit(job, who, expires, signature)


async def _who(request: AnyRequest, authenticator: Authenticator) -> Principal | None:
    """The caller if authenticated, or None. The route is public, so a wrong key counts as no key."""
    try:
        return await authenticator.of_listener(request.scope["headers"])
    except Unauthenticated:
        return None


async def _answer(request: AnyRequest, job: JobStatus, store: Objects) -> Response[Any]:
    size = job.audio_bytes or 0
    etag = f'"{(job.sha256 or b"").hex()}"'
    headers = {"ETag": etag, "Cache-Control": "private", "Referrer-Policy": "no-referrer"}
    headers[ENGINE] = job.engine
    if matches(request.headers.get("if-none-match"), etag):
        return Response(None, status_code=304, headers=headers)
    part = None
    if request.method == "GET":
        requested, condition = request.headers.get("range"), request.headers.get("if-range")
        part = part_wanted(requested, condition, size_bytes=size, etag=etag)
    sent = part or Part(0, size)
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    headers |= _content_headers(job, sent)
    media_type = headers["Content-Type"]
    status = 200 if part is None else 206
    if request.method == "HEAD" or size == 0:
        return Response(b"", status_code=status, headers=headers, media_type=media_type)
    chunks = await read_object(store, job.object, sent.start, sent.end)
    return LiveResponse(chunks, status_code=status, headers=headers, media_type=media_type)


def _content_headers(job: JobStatus, sent: Part) -> dict[str, str]:
    return {
        "Content-Type": job.content_type or "audio/wav",
        "Content-Length": str(sent.end - sent.start),
        "Accept-Ranges": "bytes",
        "Content-Disposition": disposition("inline", job),
    }
