"""Multipart uploads of one file and a few short fields: read part by part, limited while they arrive."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from litestar.exceptions import InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from msgspec import Struct
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from app.domain.errors import BadRequest, BodyTooLarge, DomainError, Invalid, UnsupportedMediaType
from app.domain.transcription.service import Upload, UploadLimits
from app.http.api_request import ApiRequest
from app.http.disconnects import ClientDisconnected

_MEMORY_BYTES = 1 << 20  # a larger file is kept on disk
_FIELD_BYTES_MAX = 16_384
_PARTS_MAX = 32
FRAMING_BYTES_MAX = 1 << 20  # what a body may contain besides the file


class Form(Struct, frozen=True):
    """A file and the other fields, in their order."""

    upload: Upload
    pairs: Sequence[tuple[str, str]]

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields; if one was sent twice, its last value."""
        return dict(self.pairs)

    def every(self, name: str) -> Sequence[str]:
        """All values of a field that may be sent more than once."""
        return [value for other, value in self.pairs if other == name]


@asynccontextmanager
async def read_multipart(
    request: ApiRequest, *, file_field: str, limits: UploadLimits
) -> AsyncGenerator[Form]:
    """The form of a multipart request; its file is open for the block. Raises 400, 413, 415, 422 errors."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get("boundary")
    if kind != "multipart/form-data" or not boundary:
        raise UnsupportedMediaType("Send multipart/form-data, as `curl -F file=@sample.wav` does.")
    with SpooledTemporaryFile[bytes](max_size=_MEMORY_BYTES) as file:
        parts = _Parts(cast("BinaryIO", file), file_field, limits.upload_bytes_max)
        try:
            async with asyncio.timeout(limits.upload_wait_s):
                await _read(request, boundary, parts)
        except TimeoutError:
            raise BadRequest(f"The body did not arrive within {limits.upload_wait_s:g} s.") from None
        yield parts.form()


async def _read(request: ApiRequest, boundary: str, parts: "_Parts") -> None:
    try:
        with PushMultipartParser(boundary, max_segment_count=_PARTS_MAX) as parser:
            async for chunk in request.stream():
                for event in parser.parse(chunk):
                    parts.take(event)
    except MultipartError as error:
        raise BadRequest(f"The body is not multipart/form-data: {str(error).lower()}.") from None
    except UnicodeDecodeError:
        raise BadRequest("The heads of the form are not UTF-8.") from None
    except RequestEntityTooLarge:
        raise parts.too_large() from None
    except InternalServerException:  # what Litestar raises if the client disconnects
        raise ClientDisconnected from None


class _Parts:
    """The parts that have arrived so far."""

    def __init__(self, file: BinaryIO, file_field: str, file_bytes_max: int) -> None:
        self._file = file
        self._file_field = file_field
        self._file_bytes_max = file_bytes_max
        self._file_bytes: int | None = None
        self._digest = sha256()
        self._fields: list[tuple[str, str]] = []
        self._name = ""
        self._text = bytearray()

    def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        """Accept a part's head, a piece of its content, or (None) its end."""
        if isinstance(event, MultipartSegment):
            self._begin(event.name or "")
        elif event is None:
            if self._name != self._file_field:
                self._fields.append((self._name, self._text.decode(errors="replace")))
        elif self._name == self._file_field:
            self._write(event)
        elif len(self._text) + len(event) > _FIELD_BYTES_MAX:
            message = f"A field of the form has at most {_FIELD_BYTES_MAX} bytes."
            raise Invalid(message, field=self._name[:100], limit=_FIELD_BYTES_MAX)
        else:
            self._text += event

    def form(self) -> Form:
        """The complete form. Raises Invalid if it has no file."""
        if self._file_bytes is None:
            raise Invalid(f"The field '{self._file_field}' is missing.", field=self._file_field)
        digest = self._digest.digest()
        return Form(Upload(file=self._file, size_bytes=self._file_bytes, sha256=digest), self._fields)

    def too_large(self) -> DomainError:
        """The error for a file over its limit."""
        most = self._file_bytes_max
        return BodyTooLarge(f"The file has more than {most} bytes.", field=self._file_field, limit=most)

    def _begin(self, name: str) -> None:
        self._name, self._text = name, bytearray()
        if name == self._file_field:
            if self._file_bytes is not None:
                raise Invalid(f"Send one '{self._file_field}' only.", field=self._file_field)
            self._file_bytes = 0

    def _write(self, content: bytes | bytearray) -> None:
        assert self._file_bytes is not None
        self._file_bytes += len(content)
        if self._file_bytes > self._file_bytes_max:
            raise self.too_large()
        self._digest.update(content)
        self._file.write(content)
