"""Which scripts of other sites may call us: headers for them, and answers to browsers that ask first.

None is ever given our cookies.
"""

import re
from collections.abc import Iterable, Sequence

Headers = list[tuple[bytes, bytes]]

_ANY = "*"
_METHODS = b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
_ASK_ANEW_AFTER_S = 600
_SAFE = frozenset({"accept", "accept-language", "content-language", "content-type"})  # any script sends them
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Cors:
    """Origins are written as `https://shop.example`; a `*` within one stands for anything, alone for all."""

    def __init__(self, origins: Sequence[str], *, exposed: Iterable[str]) -> None:
        self._is_open = _ANY in origins
        # Every answer says so where it depends on the origin, lest a cache give it to another's script.
        self.always: Headers = [] if self._is_open else [(b"vary", b"Origin")]
        self._origins = re.compile("|".join(re.escape(origin).replace(r"\*", ".*") for origin in origins))
        self._exposed = ", ".join(sorted(exposed)).encode()

    def response_headers(self, origin: bytes) -> Headers:
        """What any answer to a script of this origin says besides."""
        allowed = self._allowed(origin)
        return [*allowed, (b"access-control-expose-headers", self._exposed)] if allowed else []

    def preflight(self, origin: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Headers | None:
        """What a browser is told that asks first, with these headers; None where its script may not call."""
        allowed = self._allowed(origin)
        if not allowed:
            return None
        wanted = b",".join(value for name, value in headers if name == b"access-control-request-headers")
        names = _SAFE.union(_NAME.findall(wanted.decode("latin-1").lower()))
        return [
            *allowed,
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", ", ".join(sorted(names)).encode()),
            (b"access-control-max-age", b"%d" % _ASK_ANEW_AFTER_S),
        ]

    def _allowed(self, origin: bytes) -> Headers:
        if self._is_open:
            return [(b"access-control-allow-origin", b"*")]
        if self._origins.fullmatch(origin.decode("latin-1")):
            return [(b"access-control-allow-origin", origin)]
        return []
