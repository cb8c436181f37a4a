"""Tokens of logged-in people: HS256 JWTs; issuer, audience, epoch and expiry are verified."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from msgspec import Struct

from app.domain.errors import ExpiredToken, InvalidToken

_ISSUER = "codevoice"
_ACCESS = "codevoice-api"
_REFRESH = "codevoice-refresh"
_SESSION = "codevoice-session"
_VERIFICATION = "codevoice-verification"
_VERIFICATION_S = 7 * 24 * 3600
_EVERY = ["iss", "aud", "sub", "iat", "exp"]
_CLAIMS = [*_EVERY, "ver"]
_ALGORITHM = "HS256"


class Claims(Struct, frozen=True):
    """A token's account, log-in and epoch. Raising the account's epoch invalidates all of its tokens.

    `session` is the same in all tokens of one log-in; None in tokens issued before 0.2.
    """

    account: UUID
    epoch: int
    session: UUID | None = None


class Address(Struct, frozen=True):
    """An account, and its e-mail address when the verification token was sent."""

    account: UUID
    email: str


class Tokens:
    """Issues and reads all tokens: access, refresh, session cookie and e-mail verification."""

    def __init__(self, secret: bytes, *, token_s: int, refresh_token_s: int, session_s: int) -> None:
        self._secret = secret
        self.token_s = token_s
        self._refresh_token_s = refresh_token_s
        self.session_s = session_s
        self.longest_s = max(token_s, refresh_token_s, session_s)

    def issue(self, claims: Claims) -> str:
        """A token for requests."""
        return self._encode(claims, _ACCESS, self.token_s)

    def issue_refresh(self, claims: Claims) -> str:
        """A token that only `/api/auth/refresh` accepts."""
        return self._encode(claims, _REFRESH, self._refresh_token_s)

    def issue_session(self, claims: Claims) -> str:
        """A token for a browser's session cookie."""
        return self._encode(claims, _SESSION, self.session_s)

    def issue_verification(self, address: Address) -> str:
        """A token to be mailed to the address: whoever returns it can read that address's mail."""
        claims = {"sub": str(address.account), "email": address.email}
        return self._sign(claims, _VERIFICATION, _VERIFICATION_S)

    def read_verification(self, token: str) -> Address:
        """The address a verification token was issued for. Raises ExpiredToken and InvalidToken."""
        payload = self._verified(token, _VERIFICATION, [*_EVERY, "email"])
        return Address(UUID(payload["sub"]), str(payload["email"]))

    def read(self, token: str) -> Claims:
        """The claims of a token for requests. Raises ExpiredToken and InvalidToken."""
        return self._decode(token, _ACCESS)

    def read_refresh(self, token: str) -> Claims:
        """The claims of a refresh token. Raises ExpiredToken and InvalidToken."""
        return self._decode(token, _REFRESH)

    def read_session(self, token: str) -> Claims:
        """The claims of a session cookie's token. Raises ExpiredToken and InvalidToken."""
        return self._decode(token, _SESSION)

    def _encode(self, claims: Claims, audience: str, life_s: int) -> str:
        payload: dict[str, Any] = {"sub": str(claims.account), "ver": claims.epoch}
        if claims.session is not None:
            payload["sid"] = str(claims.session)
        return self._sign(payload, audience, life_s)

    def _sign(self, payload: dict[str, Any], audience: str, life_s: int) -> str:
        now = datetime.now(UTC)
        about = {"iss": _ISSUER, "aud": audience, "iat": now, "exp": now + timedelta(seconds=life_s)}
        return jwt.encode(about | payload, self._secret, algorithm=_ALGORITHM)

    def _decode(self, token: str, audience: str) -> Claims:
        try:
            return _claims(self._verified(token, audience, _CLAIMS))
        except ValueError:
            raise InvalidToken from None

    def _verified(self, token: str, audience: str, required: list[str]) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=audience,
                issuer=_ISSUER,
                options={"require": required, "strict_aud": True},
            )
        except jwt.ExpiredSignatureError:
            raise ExpiredToken from None
        except (jwt.InvalidTokenError, ValueError):
            raise InvalidToken from None


def _claims(payload: dict[str, Any]) -> Claims:
    epoch = payload["ver"]
    if type(epoch) is not int:
        raise ValueError("ver is no integer")
    session = payload.get("sid")
    return Claims(UUID(payload["sub"]), epoch, None if session is None else UUID(str(session)))
