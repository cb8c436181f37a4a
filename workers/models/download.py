"""Downloads one file by HTTP: resumes after an interruption, gives up on a host that does not answer."""

import http.client
import queue
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workers.models.catalogue import File
from workers.models.store import is_right

CONNECT_S = 3.0
_ADDRESS_S = 1.5  # for each address of a host
_STALL_S = 20.0  # without a byte
_TRIES = 3  # of an interrupted download
_REPORT_S = 5.0
_BLOCK_BYTES = 1 << 18
_HEADERS = {"User-Agent": "codevoice", "Accept-Encoding": "identity"}

Progress = Callable[[int], None]  # takes the bytes there are so far


class FetchError(Exception):
    """This source did not deliver the file; the message gives the reason."""


class Downloader:
    """Fetches files. A host that cannot be reached is not tried again."""

    def __init__(self) -> None:
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler,
            _Http,
            _Https,
            urllib.request.HTTPRedirectHandler,
            urllib.request.HTTPDefaultErrorHandler,
            urllib.request.HTTPErrorProcessor,
            urllib.request.UnknownHandler,
        ):
            self._opener.add_handler(handler())
        self._away: dict[str, str] = {}  # host -> why

    def fetch(self, url: str, file: File, target: Path, progress: Progress = lambda _: None) -> None:
        """Download `file` to `target` and verify its hash; raises FetchError. Partial downloads stay beside
        it.
        """
        host = urlsplit(url).netloc
        if host in self._away:
            raise FetchError(self._away[host])
        part = target.with_name(f"{target.name}.part")
        try:
            resumed = self._fill(url, file, part, progress)
            if not is_right(part, file) and resumed:  # perhaps the earlier part was wrong
                part.unlink(missing_ok=True)
                self._fill(url, file, part, progress)
        except _Unreachable as error:
            self._away[host] = str(error)
            raise FetchError(str(error)) from None
        if not is_right(part, file):
            part.unlink(missing_ok=True)
            raise FetchError(f"{url} has other bytes than it should")
        part.replace(target)

    def _fill(self, url: str, file: File, part: Path, progress: Progress) -> bool:
        """Fill `part` up to the file's size; returns whether some bytes were there before."""
        had = start = _size(part)
        for tries_left in reversed(range(_TRIES)):
            try:
                self._get(url, file, part, progress)
                return had > 0
            except urllib.error.HTTPError as error:
                raise FetchError(f"{url} answers {error.code}") from None
            except (OSError, http.client.HTTPException) as error:
                if _size(part) <= start:
                    raise _Unreachable(
                        f"{urlsplit(url).netloc} cannot be reached ({_reason(error)})"
                    ) from None
                if not tries_left:
                    raise FetchError(f"{url} breaks off ({_reason(error)})") from None
                start = _size(part)
        return had > 0

    def _get(self, url: str, file: File, part: Path, progress: Progress) -> None:
        start = _size(part)
        if start >= file.bytes:
            return
        request = urllib.request.Request(url, headers=_HEADERS)  # noqa: S310  the opener knows http(s) alone
        if start:
            request.add_header("Range", f"bytes={start}-")
        with self._opener.open(request, timeout=_STALL_S) as response:
            goes_on = response.status == 206 and _begins_at(response, start)
            with part.open("ab" if goes_on else "wb") as out:
                _copy(response, out, file.bytes - (start if goes_on else 0), progress)
        if _size(part) < file.bytes:
            raise ConnectionError("it ended early")


class _Unreachable(Exception):
    """The host does not answer."""


def _copy(response: Any, out: Any, bytes_left: int, progress: Progress) -> None:
    """Copies at most one byte more than expected, which makes the hash fail."""
    bytes_left += 1
    reported_at = time.monotonic()
    while bytes_left and (block := response.read(min(_BLOCK_BYTES, bytes_left))):
        out.write(block)
        bytes_left -= len(block)
        if time.monotonic() - reported_at > _REPORT_S:
            reported_at = time.monotonic()
            progress(out.tell())


def _begins_at(response: Any, start: int) -> bool:
    return str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__)


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpConnection, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpsConnection, req)


class _HttpConnection(http.client.HTTPConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = connected


class _HttpsConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = connected


def _first_connection(host: str, port: int) -> socket.socket:
    """Connect to a host's first address that answers. IPv4 and IPv6 alternate: one may be unreachable."""
    known = [info[4] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    v4, v6 = ([at for at in known if (":" in str(at[0])) is is_v6] for is_v6 in (False, True))
    turns = [at for pair in zip_longest(v4, v6) for at in pair if at is not None]
    failed: OSError = OSError(f"{host} has no address")
    for at in turns:
        try:
            return socket.create_connection((str(at[0]), port), min(_ADDRESS_S, CONNECT_S / len(turns)))
        except OSError as error:
            failed = error
    raise failed


def connected(address: tuple[str, int], timeout: float, _source: object = None) -> socket.socket:
    """A connection within CONNECT_S, name lookup included, which no socket timeout limits.

    `timeout` applies to what follows on it. Raises OSError.
    """
    found: queue.SimpleQueue[socket.socket | OSError] = queue.SimpleQueue()

    def connect() -> None:
        try:
            found.put(_first_connection(*address))
        except OSError as error:
            found.put(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        made = found.get(timeout=CONNECT_S)
    except queue.Empty:
        made = TimeoutError()
    if isinstance(made, TimeoutError):  # whichever limit came first, the last address's or ours
        raise TimeoutError(f"no connection within {CONNECT_S:.0f} s")
    if isinstance(made, OSError):
        raise made
    made.settimeout(timeout)
    return made
