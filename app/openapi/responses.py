"""Responses of routes that their types do not show: errors, and content that is not JSON."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from app.api.codevoice.schemas import Health
from app.api.elevenlabs.models import ModelView
from app.api.openai.models import ModelList
from app.api.openai.transcripts import JsonView, VerboseView
from app.api.respond_async import Accepted
from app.api.yourvoic.account import UsageAnswer
from app.api.yourvoic.lists import HealthAnswer
from app.api.yourvoic.speech import YourVoicAccepted
from app.domain import errors as e
from app.openapi.bodies import schema_of
from app.openapi.errors import Json, Kind
from db.formats import FORMATS

Content = Mapping[str, Json]


class RouteResponses(Struct, frozen=True, kw_only=True):
    """The responses of one route. `content` replaces what the types say; `headers` are request headers."""

    refusals: tuple[Kind, ...] = ()
    content: Mapping[int, Content] = {}
    headers: tuple[str, ...] = ()


def responses_of(method: str, path: str) -> RouteResponses:
    """The documented responses of the route; empty if there are none."""
    return _RESPONSES.get(f"{method} {path}", RouteResponses())


def refusals_of(path: str, opt: Mapping[str, Any], operation: Json, documented: RouteResponses) -> set[Kind]:
    """Every error the route may return: by its options and parameters, and by its documented responses."""
    places = {parameter["in"] for parameter in operation.get("parameters", ())}
    found: set[Kind] = {e.BadRequest, e.TooSlow, e.HeadersTooLarge, *documented.refusals}
    found |= set(_CREDENTIALS) if "public" not in opt else set()
    found |= {e.RateLimited} if "limit" in opt else set()
    found |= set(_BODY) if "requestBody" in operation else set()
    found |= {e.NotFound} if "path" in places else set()
    found |= {e.Invalid} if "query" in places or documented.headers else set()
    found |= {e.KeyReused} if IDEMPOTENCY_KEY in documented.headers else set()
    return found if path == "/health/live" or 503 in documented.content else found | {e.Unavailable}


def _json(*kinds: Any) -> Content:
    found = [schema_of(kind) for kind in kinds]
    return {"application/json": {"schema": found[0] if len(found) == 1 else {"anyOf": found}}}


def _bytes(*content_types: str) -> Content:
    return {content_type: {} for content_type in content_types}


IDEMPOTENCY_KEY = "Idempotency-Key"
_AUDIO = _bytes(*sorted({form.content_type for form in FORMATS.values()}))
_EVENTS = _bytes("text/event-stream")
_CREDENTIALS = (
    *(e.MissingKey, e.InvalidKey, e.ExpiredKey, e.RevokedKey, e.InvalidToken, e.ExpiredToken),
    *(e.Suspended, e.MissingScope, e.StaleForm),
)
_BODY = (e.MalformedJson, e.BodyTooLarge, e.UnsupportedMediaType, e.Invalid)
_SPENDING = (e.InsufficientCredits, e.Closed, e.TooManyWaiting)
_STORING = (e.StorageQuotaExceeded, e.StoreFull)
_SPEECH = (
    *(e.MissingText, e.TextTooLong, e.UnknownVoice, e.UnknownLanguage, e.UnknownFormat, e.Invalid),
    *(*_SPENDING, *_STORING),
)
_STREAMED = (e.SpeechFailed, e.UnspeakableText, e.UnsupportedScript, e.MissingText, e.TextTooLong)
_SYNCHRONOUS = (*_SPEECH, *_STREAMED, e.InFlight, e.Gone, e.TooManyStreams, e.TooManyRefunds)
_TRANSCRIPTION = (
    *(e.UnsupportedAudio, e.BrokenAudio, e.UnknownLanguage, e.AudioTooLong, e.InFlight, e.Cancelled),
    *(*_SPENDING, *_STORING),
)
_BY_ID = (e.MissingKey, e.SignatureRequired, e.NotReady, e.Gone, e.RangeNotSatisfiable)
_KEY_HEADER = (IDEMPOTENCY_KEY,)
_SPEECH_HEADERS = (IDEMPOTENCY_KEY, "Prefer")
_ACCEPTED = {202: _json(Accepted)}
_GENERATED = RouteResponses(
    refusals=_SYNCHRONOUS, headers=_SPEECH_HEADERS, content={200: _AUDIO, 202: _json(YourVoicAccepted)}
)
_ELEVENLABS = RouteResponses(
    refusals=(*_SYNCHRONOUS, e.UnknownModel), headers=_SPEECH_HEADERS, content={200: _AUDIO, **_ACCEPTED}
)
_TRANSCRIPTS = RouteResponses(
    refusals=(*_TRANSCRIPTION, e.UnknownModel),
    headers=_KEY_HEADER,
    content={200: {**_json(JsonView, VerboseView), **_bytes("text/plain", "text/vtt"), **_EVENTS}},
)
_FILE = RouteResponses(refusals=_BY_ID, content={200: _AUDIO, 206: _AUDIO, 304: {}})
_HEAD = RouteResponses(refusals=_BY_ID, content={200: {}, 304: {}})
_SAMPLE: Content = _bytes(FORMATS["mp3"].content_type)


def _admin(*refusals: Kind) -> RouteResponses:
    return RouteResponses(refusals=refusals, headers=_KEY_HEADER)


_RESPONSES: Mapping[str, RouteResponses] = {
    "POST /v1/tts": RouteResponses(refusals=_SPEECH, headers=_KEY_HEADER),
    "GET /tts/status/{job_id}": RouteResponses(refusals=(e.Gone,)),
    "GET /tts/audio/{job_id}": _FILE,
    "HEAD /tts/audio/{job_id}": _HEAD,
    "GET /tts/stream/{job_id}": RouteResponses(
        refusals=(*_BY_ID, *_STREAMED, e.TooManyStreams), content=_FILE.content
    ),
    "GET /v1/jobs/{job_id}/events": RouteResponses(refusals=(e.TooManyStreams,), content={200: _EVENTS}),
    "DELETE /v1/jobs/{job_id}": RouteResponses(refusals=(e.TooLate,)),
    "GET /samples/{file}": RouteResponses(
        refusals=(e.SpeechFailed, e.StoreFull, e.Gone), content={200: _SAMPLE, 304: {}}
    ),
    "HEAD /samples/{file}": RouteResponses(
        refusals=(e.SpeechFailed, e.StoreFull, e.Gone), content={200: {}, 304: {}}
    ),
    "POST /transcribe": RouteResponses(refusals=_TRANSCRIPTION, headers=_KEY_HEADER),
    "POST /v1/audio/transcriptions": _TRANSCRIPTS,
    "POST /v1/audio/translations": _TRANSCRIPTS,
    "POST /api/stt/live/complete": RouteResponses(
        refusals=(e.MissingText, e.TextTooLong, e.NotFound, *_SPENDING), headers=_KEY_HEADER
    ),
    "POST /api/auth/register": RouteResponses(
        refusals=(e.EmailTaken, e.RegistrationClosed, e.InviteRequired, e.InvalidInvite)
    ),
    "POST /api/auth/login": RouteResponses(refusals=(e.WrongLogin, e.Suspended)),
    "POST /api/auth/refresh": RouteResponses(refusals=(e.InvalidToken, e.ExpiredToken, e.Suspended)),
    "POST /api/auth/password/change": RouteResponses(refusals=(e.WrongLogin,)),
    "POST /api/auth/password/reset": RouteResponses(refusals=(e.MailNotSetUp,)),
    "POST /api/auth/password/reset/confirm": RouteResponses(refusals=(e.InvalidReset, e.Suspended)),
    "POST /api/auth/verify": RouteResponses(refusals=(e.InvalidVerification,)),
    "POST /api/auth/verify/resend": RouteResponses(refusals=(e.NothingToVerify, e.MailNotSetUp)),
    "POST /api/keys": RouteResponses(refusals=(e.TooManyKeys, e.ScopeTooWide)),
    "POST /api/keys/{key_id}/rotate": RouteResponses(refusals=(e.TooManyKeys, e.ScopeTooWide, e.TooLate)),
    "DELETE /api/keys/{key_id}": RouteResponses(refusals=(e.ScopeTooWide,)),
    "GET /api/keys/{key_id}": RouteResponses(refusals=(e.ScopeTooWide,)),
    "POST /api/v1/tts/generate": _GENERATED,
    "POST /api/v1/tts/generate/stream": _GENERATED,
    "POST /api/v1/tts/stream": _GENERATED,
    "GET /api/v1/usage": RouteResponses(content={200: {**_json(UsageAnswer), **_bytes("text/csv")}}),
    "GET /api/v1/health": RouteResponses(content={200: _json(HealthAnswer), 503: _json(HealthAnswer)}),
    "GET /health/ready": RouteResponses(content={200: _json(Health), 503: _json(Health)}),
    "POST /v1/audio/speech": RouteResponses(
        refusals=(*_SYNCHRONOUS, e.UnknownModel),
        headers=_SPEECH_HEADERS,
        content={200: {**_AUDIO, **_EVENTS}, **_ACCEPTED},
    ),
    "GET /v1/models": RouteResponses(content={200: _json(ModelList, list[ModelView])}),
    "GET /v1/models/{model_id}": RouteResponses(refusals=(e.UnknownModel,)),
    "POST /v1/text-to-speech/{voice_id}": _ELEVENLABS,
    "POST /v1/text-to-speech/{voice_id}/stream": _ELEVENLABS,
    "POST /api/admin/users": _admin(e.EmailTaken),
    "POST /api/admin/accounts": _admin(e.EmailTaken),
    "POST /api/admin/users/{account}/suspend": _admin(),
    "POST /api/admin/users/{account}/plan": _admin(e.Closed),
    "POST /api/admin/users/{account}/reset-link": _admin(),
    "POST /api/admin/invites": _admin(e.NotFound),
    "POST /api/admin/invites/{invite}/revoke": _admin(),
    "POST /api/admin/accounts/{account}/limit": _admin(e.Closed),
    "POST /api/admin/accounts/{account}/unlimited": _admin(e.Closed),
    "POST /api/admin/accounts/{account}/close": _admin(e.Closed),
    "POST /api/admin/accounts/{account}/keys": _admin(e.TooManyKeys, e.ScopeTooWide),
    "POST /api/admin/keys/{key}/rotate": _admin(e.TooLate, e.TooManyKeys),
    "POST /api/admin/keys/{key}/revoke": _admin(),
    "POST /api/admin/grants": _admin(e.NotFound, e.Closed),
    "POST /api/admin/expiries": _admin(e.NotFound, e.NotEnough),
    "POST /api/admin/refunds": _admin(e.NotFound, e.NotCharged),
    "POST /api/admin/prices": _admin(),
    "POST /api/admin/jobs/{job}/retry": _admin(e.NotFailed, *_SPENDING),
    "POST /api/admin/jobs/{job}/cancel": _admin(e.TooLate),
    "GET /api/admin/jobs": RouteResponses(refusals=(e.NotFound,)),
    "GET /api/admin/acts": RouteResponses(refusals=(e.NotFound,)),
}


def documented_routes() -> Iterable[str]:
    """The routes that have documented responses here."""
    return _RESPONSES.keys()
