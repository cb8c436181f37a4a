"""CORS: which scripts of other sites may call the API, their response headers, and preflight responses.

No script of another site is allowed to send our cookies.
"""

import re
from collections.abc import Iterable, Sequence

Headers = list[tuple[bytes, bytes]]

_ANY = "*"
_METHODS = b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
_PREFLIGHT_CACHE_S = 600
_SAFE = frozenset({"accept", "accept-language", "content-language", "content-type"})  # always allowed
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Cors:
    """Origins are written as `https://shop.example`; `*` matches any text in one, and alone every origin."""

    def __init__(self, origins: Sequence[str], *, exposed: Iterable[str]) -> None:
        self._is_open = _ANY in origins
        # Responses that depend on the origin say so, or a cache could serve them to another site's script.
        self.always: Headers = [] if self._is_open else [(b"vary", b"Origin")]
        self._origins = re.compile("|".join(re.escape(origin).replace(r"\*", ".*") for origin in origins))
        self._exposed = ", ".join(sorted(exposed)).encode()

    def response_headers(self, origin: bytes) -> Headers:
        """The headers to add to every response to a script of this origin."""
        allowed = self._allowed(origin)
        return [*allowed, (b"access-control-expose-headers", self._exposed)] if allowed else []

    def preflight(self, origin: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Headers | None:
        """The headers of the response to a preflight request; None if scripts of this origin may not call."""
        allowed = self._allowed(origin)
        if not allowed:
            return None
        wanted = b",".join(value for name, value in headers if name == b"access-control-request-headers")
        names = _SAFE.union(_NAME.findall(wanted.decode("latin-1").lower()))
        return [
            *allowed,
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", ", ".join(sorted(names)).encode()),
            (b"access-control-max-age", b"%d" % _PREFLIGHT_CACHE_S),
        ]

    def _allowed(self, origin: bytes) -> Headers:
        if self._is_open:
            return [(b"access-control-allow-origin", b"*")]
        if self._origins.fullmatch(origin.decode("latin-1")):
            return [(b"access-control-allow-origin", origin)]
        return []
