"""Browsers' sessions: a cookie no script can read, and a token in every form that no other site can know."""

import hmac
import secrets
from collections.abc import Iterable
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie

from app.domain.accounts import LoggedIn
from app.domain.errors import StaleForm, Suspended, Unauthenticated
from app.domain.principals import Principal, Principals
from app.domain.tokens import Tokens

Headers = Iterable[tuple[bytes, bytes]]
_VISIT_BYTES = 16
_COOKIE_CHARACTERS_MAX = 4096


class Sessions:
    """Cookies given out, and who comes with one. Their tokens end with the account's other tokens.

    Cookies know no ports: the names carry a mark of this installation, since several may run on one host.
    """

    def __init__(self, tokens: Tokens, principals: Principals, secret: bytes, *, is_secure: bool) -> None:
        mark = sha256(b"cookies\0" + secret).hexdigest()[:8]
        self._session, self._visit = f"codevoice_{mark}", f"codevoice_visit_{mark}"
        self._tokens = tokens
        self._principals = principals
        self._secret = secret
        self._attributes = "; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if is_secure else "")

    async def who(self, headers: Headers) -> Principal | None:
        """Whose session it is; None without one, or with one that has ended."""
        token = _cookies(headers).get(self._session)
        if token is None:
            return None
        try:
            return await self._principals.of_session(token)
        except (Unauthenticated, Suspended):
            return None

    async def of_script(self, headers: Headers) -> Principal | None:
        """Whose page asks: its session and, in X-CSRF-Token, the token of its forms. Raises StaleForm."""
        sent = [value.decode("latin-1") for name, value in headers if name == b"x-csrf-token"]
        who = await self.who(headers) if sent else None
        if who is not None:
            self.check(headers, sent[0])
        return who

    def form_token(self, headers: Headers) -> tuple[str, str | None]:
        """What this browser's forms carry; and the cookie to set where it has none to compare it with."""
        cookies = _cookies(headers)
        found = cookies.get(self._session) or cookies.get(self._visit)
        if found is not None:
            return self._form_token(found), None
        visit = secrets.token_urlsafe(_VISIT_BYTES)
        return self._form_token(visit), f"{self._visit}={visit}{self._attributes}"

    def check(self, headers: Headers, sent: str) -> None:
        """Raise StaleForm unless `sent` is what a page gave this browser."""
        cookies = _cookies(headers)
        found = cookies.get(self._session) or cookies.get(self._visit)
        if found is None or not hmac.compare_digest(self._form_token(found).encode(), sent.encode()):
            raise StaleForm

    def begin(self, found: LoggedIn) -> str:
        """The cookie of who has just logged in."""
        token = self._tokens.issue_session(self._tokens.read(found.token))
        return f"{self._session}={token}; Max-Age={self._tokens.session_s}{self._attributes}"

    def end(self) -> str:
        """The cookie that takes the session away."""
        return f"{self._session}=; Max-Age=0{self._attributes}"

    def _form_token(self, cookie: str) -> str:
        return hmac.new(self._secret, b"form\0" + cookie.encode(), sha256).hexdigest()


def _cookies(headers: Headers) -> dict[str, str]:
    found = SimpleCookie()
    for name, value in headers:
        if name == b"cookie" and len(value) <= _COOKIE_CHARACTERS_MAX:
            try:
                found.load(value.decode("latin-1"))
            except CookieError:
                continue
    return {name: morsel.value for name, morsel in found.items() if morsel.value}
