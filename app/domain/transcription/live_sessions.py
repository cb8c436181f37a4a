"""Live transcripts: the browser transcribes by itself; each session is charged once."""

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Annotated
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta, Struct

from app.domain.billing.credits import refusal, used
from app.domain.billing.price_book import PriceBook, Quote
from app.domain.database import Database
from app.domain.errors import ConnectionLost, Invalid, MissingText, NotFound, TextTooLong
from app.domain.identity.principals import Principal
from app.domain.speech.service import check_idempotency_key
from app.domain.speech.validation import is_unicode
from db.postgres import jobs_api
from db.types import Charged, NewCharge

_KIND, _ENGINE = "live_transcript", "browser"
_SAME_S = 600  # without id or key, the same words of the same account are the same session for so long
_OWN_KEYS = "\x01live:"  # no caller's Idempotency-Key can begin so
_SESSION_S = 24 * 3600
_MARK_BYTES, _TIME_BYTES = 16, 4
_DURATION_MS_MAX = 24 * 3600 * 1000
_LANGUAGE_CHARACTERS_MAX = 35


class Transcript(Struct, frozen=True, kw_only=True):
    """What the browser transcribed."""

    transcript: Annotated[
        str, Meta(examples=["What the browser heard"], extra_json_schema={"extra": {"min_length": 1}})
    ]
    session_id: Annotated[str | None, Meta(examples=[None])] = None
    language: Annotated[str | None, Meta(examples=[None])] = None
    duration_ms: int | None = None


class Receipt(Struct, frozen=True, kw_only=True):
    """What a session cost, in micro-credits; `remaining` in all buckets, None: unlimited."""

    used: int
    remaining: int | None
    message: str
    replayed: bool


class LiveSessions:
    """Issues session ids, which are optional, and charges each session once."""

    def __init__(self, database: Database, prices: PriceBook, secret: bytes, *, characters_max: int) -> None:
        self._database = database
        self._prices = prices
        self._secret = secret
        self._characters_max = characters_max

    def start(self, who: Principal) -> str:
        """A new session's id, valid for a day, for this account only."""
        body = uuid4().bytes + int(time.time()).to_bytes(_TIME_BYTES)
        return urlsafe_b64encode(body + self._mark(who, body)).decode().rstrip("=")

    async def complete(
        self, who: Principal, transcript: Transcript, idempotency_key: str | None, *, route: str
    ) -> Receipt:
        """Charge one session, once for its id, its key, or the same words within ten minutes.

        Raises Invalid, MissingText, TextTooLong, NotFound, and what refuses a charge.
        """
        check_idempotency_key(idempotency_key)
        self._check(transcript)
        quote = await self._prices.quote(
            _KIND, _ENGINE, characters=len(transcript.transcript), audio_ms_max=transcript.duration_ms or 0
        )
        charge = self._charge(who, transcript, quote, idempotency_key, route)
        try:
            answer = await self._take(charge)
        except ConnectionLost:  # it may have been charged: the same id is never charged twice
            answer = await self._take(charge)
        if answer.price is None:
            remaining = answer.remaining or 0
            raise refusal(answer.code, kind=who.user_type, price=quote.hold, remaining=remaining)
        return Receipt(
            used=answer.price,
            remaining=answer.spendable,
            message=used(who.user_type, answer.bucket, answer.remaining or 0),
            replayed=answer.code == "replayed",
        )

    async def _take(self, charge: NewCharge) -> Charged:
        async with self._database.connection() as connection:
            return await jobs_api.charge(connection, charge)

    def _charge(
        self, who: Principal, transcript: Transcript, quote: Quote, key: str | None, route: str
    ) -> NewCharge:
        """The charge. Of the transcript only a digest is stored."""
        digest = sha256(transcript.transcript.strip().encode())
        charge = NewCharge(
            id=uuid4() if transcript.session_id is None else self._session(who, transcript.session_id),
            owner=who.account,
            kind=_KIND,
            engine=_ENGINE,
            params={"language": transcript.language, "transcript_sha256": digest.hexdigest()},
            price=quote.hold,
            tariff=quote.tariff,
            characters=len(transcript.transcript),
            duration_ms=transcript.duration_ms,
            actor="api",
        )
        change = msgspec.structs.replace
        if key is not None:
            fingerprint = sha256(route.encode() + b"\0" + msgspec.json.encode(transcript)).digest()
            return change(charge, key=key, fingerprint=fingerprint)
        if transcript.session_id is None:
            own_key = _OWN_KEYS + digest.hexdigest()
            return change(charge, key=own_key, fingerprint=digest.digest(), key_s=_SAME_S)
        return charge

    def _session(self, who: Principal, session_id: str) -> UUID:
        """The charge's id for a session. Raises NotFound for another account's session, or one a day old."""
        try:
            sent = urlsafe_b64decode(session_id.encode() + b"==")
        except ValueError:
            sent = b""
        body, mark = sent[:-_MARK_BYTES], sent[-_MARK_BYTES:]
        is_ours = hmac.compare_digest(mark, self._mark(who, body))
        if not is_ours or int.from_bytes(body[-_TIME_BYTES:]) + _SESSION_S < time.time():
            raise NotFound(
                "There is no such live session. Start one at /api/stt/live/start, or leave session_id out.",
                field="session_id",
            )
        return UUID(bytes=body[:-_TIME_BYTES])

    def _mark(self, who: Principal, body: bytes) -> bytes:
        message = b"live session\0" + who.account.bytes + body
        return hmac.new(self._secret, message, sha256).digest()[:_MARK_BYTES]

    def _check(self, transcript: Transcript) -> None:
        most = self._characters_max
        if not transcript.transcript.strip():
            message = "The transcript is empty; nothing was charged."
            raise MissingText(message, field="transcript", limit=[1, most])
        if len(transcript.transcript) > most:
            message = f"A transcript has at most {most} characters."
            raise TextTooLong(message, field="transcript", limit=most, length=len(transcript.transcript))
        if not is_unicode(transcript.transcript):
            raise Invalid("The transcript has half of a surrogate pair.", field="transcript")
        if not 0 <= (transcript.duration_ms or 0) <= _DURATION_MS_MAX:
            message = f"The duration is 0 to {_DURATION_MS_MAX} milliseconds."
            raise Invalid(message, field="duration_ms", limit=[0, _DURATION_MS_MAX])
        language = transcript.language or ""
        if len(language) > _LANGUAGE_CHARACTERS_MAX or "\0" in language or not is_unicode(language):
            message = f"A language tag has at most {_LANGUAGE_CHARACTERS_MAX} characters."
            raise Invalid(message, field="language", limit=_LANGUAGE_CHARACTERS_MAX)
