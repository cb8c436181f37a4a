"""Finished audio: who may have it, and by which address."""

import hmac
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import urlencode
from uuid import UUID

from msgspec import Struct

from app.domain.errors import MissingKey, NotFound, SignatureRequired
from app.domain.identity.principals import Principal
from app.domain.speech.outcomes import gone
from db.types import JobStatus


class AudioRules(Struct, frozen=True, kw_only=True):
    """The operator's choices for audio by address."""

    url_s: int  # life of a signed address
    bare_hours: int  # the bare path works so long after completion; 0: never
    require_owner: bool


class AudioUrls:
    """Signs addresses of audio, and tells whether one is good."""

    def __init__(self, secret: bytes, rules: AudioRules) -> None:
        self._secret = secret
        self._rules = rules

    def address(self, job: UUID) -> str:
        """A path that works for a while for whoever has it."""
        expires = str(int(time.time()) + self._rules.url_s)
        query = urlencode({"expires": expires, "signature": self._sign(job, expires)})
        return f"/tts/audio/{job}?{query}"

    def needs_owner(self, job: JobStatus, expires: str, signature: str) -> bool:
        """Whether only its owner may have the audio, as it was asked for."""
        if self._rules.require_owner:
            return True
        return not self._is_bare_allowed(job) and not self._is_signed(job.id, expires, signature)

    def admit(self, job: JobStatus, who: Principal | None, expires: str, signature: str) -> None:
        """Raise unless this caller may have the audio. Nobody's owner learns no more than a stranger."""
        if who is not None and who.account == job.owner:
            return
        if not self.needs_owner(job, expires, signature):
            return
        if self._rules.require_owner:
            raise MissingKey if who is None else NotFound("There is no such job.")
        if self._is_authentic(job.id, expires, signature) and _passed(expires):
            raise gone("This address has expired. Ask /tts/status for a new one.")
        if self._rules.bare_hours and not signature:
            raise gone("This address has expired. Ask /tts/status for a signed one.")
        raise SignatureRequired("Ask /tts/status for the signed address of this audio.")

    def _is_bare_allowed(self, job: JobStatus) -> bool:
        if job.finished_at is None:  # still made: its stream may be listened to
            return self._rules.bare_hours > 0
        return datetime.now(UTC) < job.finished_at + timedelta(hours=self._rules.bare_hours)

    def _is_signed(self, job: UUID, expires: str, signature: str) -> bool:
        return self._is_authentic(job, expires, signature) and not _passed(expires)

    def _is_authentic(self, job: UUID, expires: str, signature: str) -> bool:
        return hmac.compare_digest(self._sign(job, expires).encode(), signature.encode(errors="replace"))

    def _sign(self, job: UUID, expires: str) -> str:
        message = f"{job}\n{expires}".encode(errors="replace")
        return hmac.new(self._secret, message, sha256).hexdigest()


def _passed(expires: str) -> bool:
    """Whether a signed end is past; only ever asked of digits we wrote ourselves."""
    return not expires.isdecimal() or int(expires) < time.time()
