"""API keys: generation, format check, digest for look-up, and a sealed (encrypted) copy to show again."""

import secrets
from binascii import crc32
from hashlib import blake2b
from typing import Literal, NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from db.settings import PositiveInt, Secret

PREFIX = "cv_live_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY = 43  # base-62 digits of 32 bytes
_CHECKSUM = 6  # of 4 bytes
_SHOWN = len(PREFIX) + 4
_VERSION = b"\x01"
_NONCE_BYTES = 12


class Unsealable(Exception):
    """A sealed key cannot be decrypted: it was sealed with another encryption key."""


class NewKey(NamedTuple):
    """A new key, to be stored; `text` is the secret itself, for its owner alone."""

    text: str
    prefix: str
    digest: bytes
    sealed: bytes


class KeySettings(Struct, frozen=True, kw_only=True):
    """The operator's settings for API keys."""

    key_pepper: Secret  # keys are looked up by a digest keyed with it
    key_encryption_key: Secret  # keys are shown again from a copy encrypted with it
    reveal: Literal["always", "once"] = "always"  # the personal key: shown at each log-in, or only at sign-up
    keys_max: PositiveInt = 50  # active keys an account may have

    @property
    def ring(self) -> "KeyRing":
        """The two secrets."""
        return KeyRing(
            pepper=bytes.fromhex(self.key_pepper), encryption_key=bytes.fromhex(self.key_encryption_key)
        )

    @property
    def keep_sealed(self) -> bool:
        """Whether a copy is kept that can be shown again."""
        return self.reveal == "always"


class KeyRing:
    """The two secrets of API keys, of 32 bytes each; neither is in the database."""

    def __init__(self, *, pepper: bytes, encryption_key: bytes) -> None:
        self._pepper = pepper
        self._cipher = AESGCM(encryption_key)

    def make(self, key_id: UUID) -> NewKey:
        """A new random key, sealed for the row `key_id` and no other."""
        body = _base62(int.from_bytes(secrets.token_bytes(32)), _BODY)
        text = PREFIX + body + _checksum(body)
        return NewKey(text, text[:_SHOWN], self.digest(text), self._seal(text, key_id))

    def digest(self, text: str) -> bytes:
        """The digest by which a key is stored and found."""
        return blake2b(text.encode(), key=self._pepper, digest_size=32).digest()

    def unseal(self, sealed: bytes, key_id: UUID) -> str:
        """The key's text again. Raises Unsealable."""
        nonce, secret = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, secret, key_id.bytes).decode()
        except InvalidTag as error:
            raise Unsealable(f"key {key_id} was sealed with another encryption key") from error

    def _seal(self, text: str, key_id: UUID) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, text.encode(), key_id.bytes)


def is_well_formed(text: str) -> bool:
    """Whether `text` has a key's format and checksum: a mistyped key is refused without a database query."""
    body, checksum = text[len(PREFIX) : -_CHECKSUM], text[-_CHECKSUM:]
    return text.isascii() and text.startswith(PREFIX) and len(body) == _BODY and _checksum(body) == checksum


def _checksum(body: str) -> str:
    return _base62(crc32(body.encode()), _CHECKSUM)


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 62)
        text = _ALPHABET[digit] + text
    return text
