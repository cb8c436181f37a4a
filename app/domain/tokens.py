"""Tokens of people logged in: HS256 with issuer, audience, epoch and end, all checked."""

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
_CLAIMS = ["iss", "aud", "sub", "ver", "iat", "exp"]
_ALGORITHM = "HS256"


class Claims(Struct, frozen=True):
    """Whose token it is, and of which epoch: raising the account's epoch ends all of its tokens."""

    account: UUID
    epoch: int


class Tokens:
    """Gives out and reads all kinds of token: short ones for requests, long ones to renew them, cookies'."""

    def __init__(self, secret: bytes, *, token_s: int, refresh_token_s: int, session_s: int) -> None:
        self._secret = secret
        self.token_s = token_s
        self._refresh_token_s = refresh_token_s
        self.session_s = session_s

    def issue(self, claims: Claims) -> str:
        """A token for requests."""
        return self._encode(claims, _ACCESS, self.token_s)

    def issue_refresh(self, claims: Claims) -> str:
        """A token that only `/api/auth/refresh` takes."""
        return self._encode(claims, _REFRESH, self._refresh_token_s)

    def issue_session(self, claims: Claims) -> str:
        """A token that only a browser's cookie carries."""
        return self._encode(claims, _SESSION, self.session_s)

    def read(self, token: str) -> Claims:
        """The claims of a token for requests. Raises ExpiredToken and InvalidToken."""
        return self._decode(token, _ACCESS)

    def read_refresh(self, token: str) -> Claims:
        """The claims of a refresh token. Raises ExpiredToken and InvalidToken."""
        return self._decode(token, _REFRESH)

    def read_session(self, token: str) -> Claims:
        """The claims of a cookie's token. Raises ExpiredToken and InvalidToken."""
        return self._decode(token, _SESSION)

    def _encode(self, claims: Claims, audience: str, life_s: int) -> str:
        now = datetime.now(UTC)
        payload = {
            "iss": _ISSUER,
            "aud": audience,
            "sub": str(claims.account),
            "ver": claims.epoch,
            "iat": now,
            "exp": now + timedelta(seconds=life_s),
        }
        return jwt.encode(payload, self._secret, algorithm=_ALGORITHM)

    def _decode(self, token: str, audience: str) -> Claims:
        try:
            payload: dict[str, Any] = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=audience,
                issuer=_ISSUER,
                options={"require": _CLAIMS, "strict_aud": True},
            )
            return _claims(payload)
        except jwt.ExpiredSignatureError:
            raise ExpiredToken from None
        except (jwt.InvalidTokenError, ValueError):
            raise InvalidToken from None


def _claims(payload: dict[str, Any]) -> Claims:
    epoch = payload["ver"]
    if type(epoch) is not int:
        raise ValueError("ver is no integer")
    return Claims(UUID(payload["sub"]), epoch)
