"""Checks of a request's head that RFC 9112 requires and the parser does not make."""

import re
from collections.abc import Iterable
from functools import lru_cache

from app.domain.errors import BadRequest

# uri-host [":" port] (RFC 3986): a name, an IPv4 address, or an address in brackets. It may be empty.
_NAME = rb"[A-Za-z0-9._~!$&'()*+,;=-]*"
_HOST = re.compile(rb"(?:" + _NAME + rb"(?:%[0-9A-Fa-f]{2}" + _NAME + rb")*|\[[0-9A-Za-z:.]+\])(?::[0-9]*)?")
_HOST_BYTES_MAX = 261  # a name of 255, and a port
_REMEMBERED_MAX = 256
_CHECKED = frozenset({b"host", b"content-length", b"transfer-encoding"})


def check_head(headers: Iterable[tuple[bytes, bytes]], version: str, *, upgrades: bool) -> int:
    """The value of Content-Length in bytes, or 0. Raises BadRequest if the head is not valid.

    `upgrades`: the request asks for another protocol; the parser then takes its head as its end.
    """
    hosts = length = 0
    for name, value in headers:
        if name not in _CHECKED:
            continue
        if name == b"host":
            hosts += 1
            if len(value) > _HOST_BYTES_MAX or not _is_host(value):
                raise BadRequest("The Host header is not valid.")
        elif name == b"content-length":
            length = int(value)  # the parser allows one number, and none together with Transfer-Encoding
        else:
            _check_coding(value, version, upgrades=upgrades)
    if version not in ("1.1", "1.0"):
        raise BadRequest("Send the request as HTTP/1.1.")
    if hosts > 1 or (not hosts and version == "1.1"):
        raise BadRequest("Send exactly one Host header.")
    return length


@lru_cache(_REMEMBERED_MAX)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def _check_coding(value: bytes, version: str, *, upgrades: bool) -> None:
    """HTTP/1.0 has no transfer codings; of those of HTTP/1.1 we decode one."""
    if version != "1.1" or value.strip().lower() != b"chunked":
        raise BadRequest("The only transfer coding accepted is 'chunked', in HTTP/1.1.")
    if upgrades:
        raise BadRequest("Send Content-Length instead of Transfer-Encoding in a request with Upgrade.")
