"""Style sheets, scripts and the logo: read once, served under a URL that changes with their content."""

import gzip
from hashlib import sha256
from pathlib import Path

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct

from app.domain.errors import NotFound
from app.http.api_request import ApiRequest

_FOLDER = Path(__file__).with_name("static")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"


class _File(Struct, frozen=True):
    content: bytes
    zipped: bytes
    content_type: str


class Statics:
    """All files, in memory: they are few and small."""

    def __init__(self) -> None:
        self._files = {path.name: _read(path) for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES}
        whole = b"".join(name.encode() + file.content for name, file in self._files.items())
        self._version = sha256(whole).hexdigest()[:16]

    def address(self, name: str) -> str:
        """The URL path of the file, which must exist."""
        assert name in self._files, name
        return f"/static/{self._version}/{name}"

    def answer(self, version: str, name: str, *, takes_gzip: bool) -> Response[bytes]:
        """The file; not cacheable if requested under another version. Raises NotFound."""
        found = self._files.get(name)
        if found is None:
            raise NotFound("There is no such file.")
        headers = {
            "Cache-Control": _FOR_EVER if version == self._version else "no-cache",
            "Vary": "Accept-Encoding",
        }
        if takes_gzip:
            headers["Content-Encoding"] = "gzip"
        content = found.zipped if takes_gzip else found.content
        return Response(content, headers=headers, media_type=found.content_type)


@get("/static/{version:str}/{name:str}", opt={"public": True})
async def static(
    request: ApiRequest, version: FromPath[str], name: FromPath[str], statics: NamedDependency[Statics]
) -> Response[bytes]:
    """A file, compressed if the client accepts that."""
    takes_gzip = "gzip" in request.headers.get("accept-encoding", "")
    return statics.answer(version, name, takes_gzip=takes_gzip)


def _read(path: Path) -> _File:
    content = path.read_bytes()
    return _File(content, gzip.compress(content, mtime=0), _TYPES[path.suffix])
