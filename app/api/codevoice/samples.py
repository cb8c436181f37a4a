"""`GET /samples/{voice}.mp3`: a sample of each voice."""

from typing import Any

from litestar import Response, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from app.api.audio_response import ENGINE, read_object
from app.domain.errors import NotFound
from app.domain.speech.samples import FORMAT, Samples
from app.http.bodies import AnyRequest
from app.http.disconnects import LiveResponse
from app.http.ranges import matches
from db.formats import FORMATS
from db.storage.objects import Objects


def sample_route(samples: Samples, store: Objects) -> HTTPRouteHandler:
    """`GET` and `HEAD /samples/{file}`."""

    @route("/samples/{file:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD], opt={"public": True})
    async def voice_sample(request: AnyRequest, file: FromPath[str]) -> Response[Any]:
        voice, dot, extension = file.rpartition(".")
        if not dot or extension != FORMAT:
            raise NotFound("There is nothing at this path.")
        found = await samples.sample(voice)
        etag = f'"{found.object.removeprefix("samples/").removesuffix(f".{FORMAT}")}"'
        kept = "no-cache" if found.by_name else "public, max-age=86400"
        headers = {"ETag": etag, "Cache-Control": kept, ENGINE: found.engine}
        if matches(request.headers.get("if-none-match"), etag):
            return Response(None, status_code=304, headers=headers)
        headers["Content-Length"] = str(found.audio_bytes)
        media_type = FORMATS[FORMAT].content_type
        if request.method == "HEAD":
            return Response(b"", headers=headers, media_type=media_type)
        chunks = await read_object(store, found.object, 0, found.audio_bytes)
        return LiveResponse(chunks, headers=headers, media_type=media_type)

    return voice_sample
