"""The listening socket, bound before anything else starts, so that a taken port is reported at once."""

import http.client
import json
import socket
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

from msgspec import Struct

_BACKLOG = 2048  # also holds connections while the API restarts
_ANSWER_S = 1.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 # nosec B104 - read, not bound


class ListenError(Exception):
    """The address cannot be listened on; the message names it and the variable."""


class Listener(Struct, frozen=True, kw_only=True):
    """A listening socket, by its descriptor, and its URL on this machine."""

    fd: int
    url: str


@contextmanager
def listening(environ: Mapping[str, str]) -> Generator[Listener]:
    """Listen on CODEVOICE_HOST and CODEVOICE_PORT (0: any free) for the block; raises ListenError."""
    host = environ.get("CODEVOICE_HOST") or "127.0.0.1"
    port = _port(environ.get("CODEVOICE_PORT") or "8000")
    with _bind(host, port) as listener:
        bound: int = listener.getsockname()[1]
        name = _EVERYWHERE.get(host, host)
        yield Listener(fd=listener.fileno(), url=f"http://{f'[{name}]' if ':' in name else name}:{bound}")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise ListenError(f"CODEVOICE_PORT is {text!r}: give a number from 0 (any free port) to 65535")
    return int(text)


def _bind(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server(found[0][4][:2], family=found[0][0], backlog=_BACKLOG)
    except socket.gaierror as error:
        raise ListenError(f"CODEVOICE_HOST is {host!r}: {error.strerror}") from None
    except OSError as error:
        # create_server adds the address to the text.
        raise ListenError(
            f"port {port} of {host} cannot be listened on ({(error.strerror or '').partition(' (')[0]}):"
            " set CODEVOICE_PORT (0 takes any free port), or CODEVOICE_HOST"
        ) from None


def lacks(url: str) -> list[str] | None:
    """What the API at `url` reports as missing; None if it does not answer within a second."""
    status, body = _ask(url, "/health/ready")
    try:
        return list(json.loads(body).get("missing") or []) if status in (200, 503) else None
    except ValueError:
        return None


def get(url: str, path: str) -> bytes | None:
    """The body of a 200 response; None for any other, or for none within a second."""
    status, body = _ask(url, path)
    return body if status == 200 else None


def _ask(url: str, path: str) -> tuple[int, bytes]:
    """Status and body; status 0: no answer within a second."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=_ANSWER_S)) as connection:
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
