"""A message for the page after a redirect: encrypted in a cookie, shown once, valid for 5 minutes."""

import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from litestar.datastructures import Cookie
from msgspec import Struct

from app.http.sessions import Headers, cookie_values

_LIFE_S = 300
_NONCE_BYTES = 12


class ShownKey(Struct, frozen=True, kw_only=True):
    """A new API key, for the one page that shows it."""

    name: str
    text: str
    personal: bool


class Flash(Struct, frozen=True, kw_only=True):
    """What the next page says about the action before it. `key`: the secret that the action created."""

    text: str = ""
    key: ShownKey | None = None


class _Sealed(Struct, frozen=True):
    page: str
    until_s: float  # of the Unix clock
    flash: Flash


class Flashes:
    """Messages encrypted for one account and one page: nobody else can read them, no other page removes them.

    Every API process can decrypt what another one has encrypted. Nothing is stored on the server.
    """

    def __init__(self, secret: bytes, *, is_secure: bool) -> None:
        mark = sha256(b"cookies\0" + secret).hexdigest()[:8]
        self._name = f"{'__Host-' if is_secure else ''}codevoice_flash_{mark}"
        self._cipher = AESGCM(sha256(b"flash\0" + secret).digest())
        self._is_secure = is_secure

    def seal(self, flash: Flash, page: str, account: UUID | None) -> Cookie:
        """The cookie for a redirect to `page`. `account` None: nobody is logged in."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        text = msgspec.msgpack.encode(_Sealed(page, time.time() + _LIFE_S, flash))
        sealed = nonce + self._cipher.encrypt(nonce, text, _owner(account))
        return self._cookie(urlsafe_b64encode(sealed).decode().rstrip("="), _LIFE_S)

    def take(self, headers: Headers, page: str, account: UUID | None) -> tuple[Flash | None, Cookie | None]:
        """The message for this page and the cookie that deletes it; None, None if there is none for it."""
        for value in cookie_values(headers, self._name):
            found = self._open(value, account)
            if found is not None and found.page == page:
                return (found.flash if time.time() < found.until_s else None), self._cookie("", 0)
        return None, None

    def _open(self, value: str, account: UUID | None) -> _Sealed | None:
        try:
            sealed = urlsafe_b64decode(value + "=" * (-len(value) % 4))
            nonce, secret = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            text = self._cipher.decrypt(nonce, secret, _owner(account))
        except (ValueError, InvalidTag):
            return None
        return msgspec.msgpack.decode(text, type=_Sealed)

    def _cookie(self, value: str, life_s: int) -> Cookie:
        return Cookie(
            self._name, value=value, max_age=life_s, httponly=True, samesite="lax", secure=self._is_secure
        )


def _owner(account: UUID | None) -> bytes:
    return b"" if account is None else account.bytes
