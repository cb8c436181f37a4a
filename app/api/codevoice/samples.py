"""`GET /samples/{voice}.mp3`: a sample of each voice."""

from litestar import Response, route
from litestar.di import NamedDependency
from litestar.enums import HttpMethod
from litestar.params import FromPath

from app.api.audio_response import ENGINE, accepted_type, read_object
from app.domain.errors import Gone, NotFound, SpeechFailed, StoreFull
from app.domain.speech.samples import FORMAT, Samples
from app.http.api_request import ApiRequest
from app.http.disconnects import LiveResponse
from app.http.ranges import matches
from app.openapi.operations import BYTES, sends_file
from db.formats import FORMATS
from db.storage.objects import Objects


@route(
    "/samples/{file:str}",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    opt={"public": True, "errors": (SpeechFailed, StoreFull, Gone)},
    operation_class=sends_file(FORMATS[FORMAT].content_type, BYTES),
)
async def voice_sample(
    request: ApiRequest,
    file: FromPath[str],
    samples: NamedDependency[Samples],
    store: NamedDependency[Objects],
) -> Response[bytes]:
    """Send a short sample of a voice."""
    voice, dot, extension = file.rpartition(".")
    if not dot or extension != FORMAT:
        raise NotFound("There is nothing at this path.")
    found = await samples.sample(voice)
    etag = f'"{found.object.removeprefix("samples/").removesuffix(f".{FORMAT}")}"'
    kept = "no-cache" if found.by_name else "public, max-age=86400"
    headers = {"ETag": etag, "Cache-Control": kept, "Vary": "Accept", ENGINE: found.engine}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(b"", status_code=304, headers=headers)
    headers["Content-Length"] = str(found.audio_bytes)
    media_type = accepted_type(request, FORMATS[FORMAT].content_type)
    if request.method == "HEAD":
        return Response(b"", headers=headers, media_type=media_type)
    chunks = await read_object(store, found.object, 0, found.audio_bytes)
    return LiveResponse(chunks, headers=headers, media_type=media_type)
