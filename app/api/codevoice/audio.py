"""Audio by job id: complete or in part from the object store, or live while it is made."""

from typing import Any

from litestar import Response, get, route
from litestar.di import NamedDependency
from litestar.enums import HttpMethod
from litestar.params import FromPath, FromQuery

from app.api.audio_response import ENGINE, accepted_type, disposition, read_object, stream_live
from app.domain.errors import Unauthenticated
from app.domain.identity.principals import Principal
from app.domain.speech.audio_urls import AudioUrls
from app.domain.speech.outcomes import check_audio
from app.domain.speech.service import SpeechService
from app.domain.speech.synchronous import SynchronousSpeech
from app.http.api_request import ApiRequest
from app.http.authentication import Authenticator
from app.http.disconnects import LiveResponse, cancel_on_disconnect
from app.http.ranges import Part, matches, part_wanted
from app.http.rate_limit import RateLimitGuard
from app.openapi import errors
from app.openapi.operations import AUDIO, sends_file
from db.storage.objects import Objects
from db.types import JobStatus


class AudioAccess:
    """Lets callers have the audio of a job, whole or in part."""

    def __init__(self, audio_urls: AudioUrls, authenticator: Authenticator, store: Objects) -> None:
        self._audio_urls = audio_urls
        self._authenticator = authenticator
        self._store = store

    async def admit(self, request: ApiRequest, job: JobStatus, expires: str, signature: str) -> None:
        """Raise unless the caller may have the job's audio."""
        needs_owner = self._audio_urls.needs_owner(job, expires, signature)
        who = await self.caller(request) if needs_owner else None
        self._audio_urls.admit(job, who, expires, signature)

    async def caller(self, request: ApiRequest) -> Principal | None:
        """The caller if authenticated, or None. The routes are public: a wrong key counts as no key."""
        try:
            return await self._authenticator.of_listener(request.scope["headers"])
        except Unauthenticated:
            return None

    async def respond(self, request: ApiRequest, job: JobStatus) -> Response[Any]:
        """The stored audio, or the part that the request's headers ask for."""
        check_audio(job)
        return await _answer(request, job, self._store)


@route(
    "/tts/audio/{job_id:str}",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    opt={"public": True, "errors": errors.STORED_AUDIO},
    operation_class=sends_file(*AUDIO, has_parts=True),
)
async def speech_audio(
    request: ApiRequest,
    job_id: FromPath[str],
    speech: NamedDependency[SpeechService],
    audio_access: NamedDependency[AudioAccess],
    expires: FromQuery[str] = "",
    signature: FromQuery[str] = "",
) -> Response[bytes]:
    """Send the audio of a completed job, whole or in part."""
    job = await speech.status(job_id)
    check_audio(job)
    await audio_access.admit(request, job, expires, signature)
    return await audio_access.respond(request, job)


@get(
    "/tts/stream/{job_id:str}",
    opt={"public": True, "limit": "poll", "errors": (*errors.STORED_AUDIO, *errors.STREAMED)},
    operation_class=sends_file(*AUDIO, has_parts=True),
)
async def speech_stream(
    request: ApiRequest,
    job_id: FromPath[str],
    speech: NamedDependency[SpeechService],
    synchronous: NamedDependency[SynchronousSpeech],
    audio_access: NamedDependency[AudioAccess],
    rate_limit: NamedDependency[RateLimitGuard],
    expires: FromQuery[str] = "",
    signature: FromQuery[str] = "",
) -> Response[bytes]:
    """Send the audio of a job from its beginning while it is made, or the stored audio."""
    job = await speech.status(job_id)
    await audio_access.admit(request, job, expires, signature)
    if job.state in ("queued", "processing"):
        who = await audio_access.caller(request)
        work = synchronous.attach(job, who, address=rate_limit.address(request.scope))
        return stream_live(await cancel_on_disconnect(request.receive, work), {})
    return await audio_access.respond(request, job)


async def _answer(request: ApiRequest, job: JobStatus, store: Objects) -> Response[Any]:
    size = job.audio_bytes or 0
    etag = f'"{(job.sha256 or b"").hex()}"'
    headers = {"ETag": etag, "Cache-Control": "private", "Referrer-Policy": "no-referrer", "Vary": "Accept"}
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
    headers |= _content_headers(request, job, sent)
    media_type = headers["Content-Type"]
    status = 200 if part is None else 206
    if request.method == "HEAD" or size == 0:
        return Response(b"", status_code=status, headers=headers, media_type=media_type)
    chunks = await read_object(store, job.object, sent.start, sent.end)
    return LiveResponse(chunks, status_code=status, headers=headers, media_type=media_type)


def _content_headers(request: ApiRequest, job: JobStatus, sent: Part) -> dict[str, str]:
    return {
        "Content-Type": accepted_type(request, job.content_type or "audio/wav"),
        "Content-Length": str(sent.end - sent.start),
        "Accept-Ranges": "bytes",
        "Content-Disposition": disposition("inline", job),
    }
