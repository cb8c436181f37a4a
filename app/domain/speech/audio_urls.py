"""Access to finished audio: signed URLs, and who may download it."""

import hmac
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from msgspec import Meta, Struct

from app.domain.errors import MissingKey, NotFound, SignatureRequired
from app.domain.identity.principals import Principal
from app.domain.speech.outcomes import gone
from db.settings import PositiveInt
from db.types import JobStatus


class AudioRules(Struct, frozen=True, kw_only=True):
    """The operator's rules for audio URLs."""

    require_owner: bool = False  # audio only with its owner's credential
    bare_audio_hours: Annotated[int, Meta(ge=0)] = 24  # unsigned audio URLs, after completion; 0: never
    audio_url_s: PositiveInt = 3600


class AudioUrls:
    """Signs audio URLs, and verifies them."""

    def __init__(self, secret: bytes, rules: AudioRules) -> None:
        self._secret = secret
        self._rules = rules

    def address(self, job: UUID) -> str:
        """A signed path, valid for `audio_url_s` without authentication."""
        expires = str(int(time.time()) + self._rules.audio_url_s)
        query = urlencode({"expires": expires, "signature": self._sign(job, expires)})
        return f"/tts/audio/{job}?{query}"

    def needs_owner(self, job: JobStatus, expires: str, signature: str) -> bool:
        """Whether a request with these parameters must come from the job's owner."""
        if self._rules.require_owner:
            return True
        return not self._is_bare_allowed(job) and not self._is_signed(job.id, expires, signature)

    def admit(self, job: JobStatus, who: Principal | None, expires: str, signature: str) -> None:
        """Raise unless this caller may have the audio; another account learns no more than an unknown caller.

        Raises MissingKey, NotFound, Gone and SignatureRequired.
        """
        if who is not None and who.account == job.owner:
            return
        if not self.needs_owner(job, expires, signature):
            return
        if self._rules.require_owner:
            raise MissingKey if who is None else NotFound("There is no such job.")
        if self._is_authentic(job.id, expires, signature) and _passed(expires):
            raise gone("This address has expired. Ask /tts/status for a new one.")
        if self._rules.bare_audio_hours and not signature:
            raise gone("This address has expired. Ask /tts/status for a signed one.")
        raise SignatureRequired("Ask /tts/status for the signed address of this audio.")

    def _is_bare_allowed(self, job: JobStatus) -> bool:
        if job.finished_at is None:  # not finished: its live stream may be read
            return self._rules.bare_audio_hours > 0
        return datetime.now(UTC) < job.finished_at + timedelta(hours=self._rules.bare_audio_hours)

    def _is_signed(self, job: UUID, expires: str, signature: str) -> bool:
        return self._is_authentic(job, expires, signature) and not _passed(expires)

    def _is_authentic(self, job: UUID, expires: str, signature: str) -> bool:
        return hmac.compare_digest(self._sign(job, expires).encode(), signature.encode(errors="replace"))

    def _sign(self, job: UUID, expires: str) -> str:
        message = f"{job}\n{expires}".encode(errors="replace")
        return hmac.new(self._secret, message, sha256).hexdigest()


def _passed(expires: str) -> bool:
    """Whether a signed expiry has passed. It is only called after the signature was verified."""
    return not expires.isdecimal() or int(expires) < time.time()
