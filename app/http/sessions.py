"""Browser sessions: a cookie that no script can read, and a form token that no other site can know."""

import hmac
import secrets
from collections.abc import Iterable
from hashlib import sha256

from app.domain.accounts.service import LoggedIn
from app.domain.errors import ExpiredToken, InvalidToken, StaleForm, Suspended, Unauthenticated
from app.domain.identity.principals import Principal, Principals
from app.domain.identity.tokens import Tokens

Headers = Iterable[tuple[bytes, bytes]]
_VISIT_BYTES = 16
_VALUE_BYTES_MAX = 4096
_SAME_NAME_MAX = 8  # cookies of one name that are read


class Sessions:
    """Issues session cookies and authenticates by them. Their tokens end with the account's other tokens.

    Cookies are not bound to a port, so their names contain a hash of this installation: several may run on
    one host. Over HTTPS the names begin with __Host-, so that no other host of the domain can set them.
    """

    def __init__(self, tokens: Tokens, principals: Principals, secret: bytes, *, is_secure: bool) -> None:
        mark = sha256(b"cookies\0" + secret).hexdigest()[:8]
        prefix = "__Host-" if is_secure else ""
        self._session, self._visit = f"{prefix}codevoice_{mark}", f"{prefix}codevoice_visit_{mark}"
        self._tokens = tokens
        self._principals = principals
        self._secret = secret
        self._attributes = "; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if is_secure else "")

    async def who(self, headers: Headers) -> Principal | None:
        """The principal of the session; None if there is no session, or it has ended."""
        token = self._session_token(headers)
        if token is None:
            return None
        try:
            return await self._principals.of_session(token)
        except (Unauthenticated, Suspended):
            return None

    async def of_script(self, headers: Headers) -> Principal | None:
        """The principal of a page's script: needs the session and its form token in X-CSRF-Token.

        Raises StaleForm.
        """
        sent = [value.decode("latin-1") for name, value in headers if name == b"x-csrf-token"]
        who = await self.who(headers) if sent else None
        if who is not None:
            self.check(headers, sent[0])
        return who

    def form_token(self, headers: Headers) -> tuple[str, str | None]:
        """The form token for this browser, and the cookie to set if it has none to bind the token to."""
        found = self._cookie(headers)
        if found is not None:
            return self._form_token(found), None
        visit = secrets.token_urlsafe(_VISIT_BYTES)
        return self._form_token(visit), f"{self._visit}={visit}{self._attributes}"

    def check(self, headers: Headers, sent: str) -> None:
        """Raise StaleForm unless `sent` is this browser's form token."""
        found = self._cookie(headers)
        if found is None or not hmac.compare_digest(self._form_token(found).encode(), sent.encode()):
            raise StaleForm

    def begin(self, found: LoggedIn) -> str:
        """The cookie for a new session."""
        token = self._tokens.issue_session(self._tokens.read(found.token))
        return f"{self._session}={token}; Max-Age={self._tokens.session_s}{self._attributes}"

    def end(self) -> str:
        """The cookie that deletes the session's cookie."""
        return f"{self._session}=; Max-Age=0{self._attributes}"

    def _cookie(self, headers: Headers) -> str | None:
        """The cookie this browser's forms are bound to: its session's, or the visit's if there is none."""
        return self._session_token(headers) or next(iter(cookie_values(headers, self._visit)), None)

    def _session_token(self, headers: Headers) -> str | None:
        """Of several cookies of the name, the first that is ours and still valid; otherwise the first."""
        sent = cookie_values(headers, self._session)
        return next((value for value in sent if self._is_ours(value)), next(iter(sent), None))

    def _is_ours(self, value: str) -> bool:
        try:
            self._tokens.read_session(value)
        except (InvalidToken, ExpiredToken):
            return False
        return True

    def _form_token(self, cookie: str) -> str:
        return hmac.new(self._secret, b"form\0" + cookie.encode(), sha256).hexdigest()


def cookie_values(headers: Headers, name: str) -> list[str]:
    """The values of the cookies of that name. Other programs' cookies, even malformed ones, are ignored."""
    prefix = f"{name}=".encode()
    crumbs = (crumb.strip() for header, line in headers if header == b"cookie" for crumb in line.split(b";"))
    values = (crumb.removeprefix(prefix) for crumb in crumbs if crumb.startswith(prefix))
    sent = [value.decode() for value in values if value.isascii() and 0 < len(value) <= _VALUE_BYTES_MAX]
    return sent[:_SAME_NAME_MAX]
