"""Error responses in the shapes of the four dialects, chosen by path: also for 404s and broken requests."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from app.domain.errors import DomainError

Body = dict[str, Any]


class ErrorContext(Struct, frozen=True, kw_only=True):
    """The facts of a request that the shape of its error response depends on."""

    path: str
    has_xi_key: bool
    user_type: str | None
    request_id: str


class Answer(Struct, frozen=True):
    """An error response as it is sent."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer(error: DomainError, context: ErrorContext) -> Answer:
    """The error in the shape of the dialect that the request's path belongs to."""
    shape = dialect(context.path, has_xi_key=context.has_xi_key)
    status, body = shape(error, context)
    return Answer(status, error.headers, msgspec.json.encode(body))


def dialect(path: str, *, has_xi_key: bool) -> Callable[[DomainError, ErrorContext], tuple[int, Body]]:
    """The function that shapes errors under this path: YourVoic's, OpenAI's, ElevenLabs' or CodeVoice's."""
    if _is_under(path, ("/api/v1",)):
        return yourvoic
    if _is_under(path, ("/v1/audio", "/v1/models")):
        return elevenlabs if has_xi_key else openai
    if _is_under(path, ("/v1/text-to-speech", "/v1/user", "/v2")):
        return elevenlabs
    return codevoice


def public(kind: type[DomainError], path: str) -> tuple[int, str]:
    """The status and code of an error of this kind under this path."""
    is_yourvoic = dialect(path, has_xi_key=False) is yourvoic
    return _in_yourvoic(kind) if is_yourvoic else (kind.status, kind.code)


def codevoice(error: DomainError, context: ErrorContext) -> tuple[int, Body]:
    """`{"detail": {error, message, user_type, …}}`"""
    detail = {"error": error.code, "message": error.message, "user_type": context.user_type, **error.fields}
    return error.status, {"detail": detail, **error.beside}


def elevenlabs(error: DomainError, context: ErrorContext) -> tuple[int, Body]:  # noqa: ARG001
    """`{"detail": {status, message}}`"""
    return error.status, {"detail": {"status": error.code, "message": error.message}}


def openai(error: DomainError, context: ErrorContext) -> tuple[int, Body]:  # noqa: ARG001
    """`{"error": {message, type, param, code}}`"""
    return error.status, openai_error(error)


def openai_error(error: DomainError) -> Body:
    """The body alone, which OpenAI's event streams use too."""
    body = {
        "message": error.message,
        "type": _OPENAI_TYPES.get(error.status, "server_error" if error.status >= 500 else _OPENAI_DEFAULT),
        "param": _OPENAI_PARAMS.get(str(error.fields.get("field")), error.fields.get("field")),
        "code": error.code,
    }
    return {"error": body}


def yourvoic(error: DomainError, context: ErrorContext) -> tuple[int, Body]:
    """`{"success": false, "error": {code, message, details?, category, resolution}, …}`"""
    status, code = _in_yourvoic(type(error))
    category, resolution = _YOURVOIC_ADVICE.get(status, _YOURVOIC_ADVICE[status // 100 * 100])
    body: Body = {
        "code": code,
        "message": error.message,
        "category": category,
        "resolution": resolution,
    }
    if error.fields:
        body["details"] = error.fields
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return status, {"success": False, "error": body, "request_id": context.request_id, "timestamp": now}


def _is_under(path: str, prefixes: Iterable[str]) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)


def _in_yourvoic(kind: type[DomainError]) -> tuple[int, str]:
    by_status = {
        404: "NOT_FOUND",
        422: "INVALID_PARAMETER",
        429: "RATE_LIMIT_EXCEEDED",
        500: "INTERNAL_ERROR",
        503: "SERVICE_UNAVAILABLE",
    }
    named = kind.status, by_status.get(kind.status) or kind.code.upper()
    return _YOURVOIC_CODES.get(kind.code, named)


_OPENAI_PARAMS = {"text": "input", "format": "response_format", "sample_rate": "response_format",
                  "task": "model"}  # fmt: skip
_OPENAI_DEFAULT = "invalid_request_error"
_OPENAI_TYPES = {401: "authentication_error", 402: "insufficient_quota", 403: "permission_error",
                 429: "rate_limit_error"}  # fmt: skip

_YOURVOIC_CODES = {
    "unknown_voice": (400, "INVALID_VOICE"),
    "missing_text": (400, "MISSING_TEXT"),
    "text_too_long": (413, "TEXT_TOO_LONG"),
    "unknown_language": (422, "INVALID_LANGUAGE"),
    "unknown_format": (422, "INVALID_FORMAT"),
    "missing_api_key": (401, "MISSING_API_KEY"),
    "invalid_api_key": (401, "INVALID_API_KEY"),
    "invalid_token": (401, "INVALID_API_KEY"),
    "expired_api_key": (401, "API_KEY_EXPIRED"),
    "expired_token": (401, "API_KEY_EXPIRED"),
    "revoked_api_key": (401, "API_KEY_REVOKED"),
    "account_suspended": (403, "API_KEY_DISABLED"),
    "account_closed": (403, "API_KEY_DISABLED"),
}

_YOURVOIC_ADVICE = {
    400: ("validation", "Correct the request as the message says, then send it again."),
    401: ("authentication", "Send a valid API key in the X-API-Key header."),
    402: ("billing", "Add credits to the account, then send the request again."),
    403: ("authorization", "Use a key that may do this, or contact the operator."),
    404: ("not_found", "Check the path and the identifiers in it."),
    405: ("not_found", "Use one of the methods in the Allow header."),
    409: ("conflict", "Look at the present state, then decide whether to send the request again."),
    429: ("rate_limit", "Wait as long as the Retry-After header says, then send the request again."),
    500: ("server", "Send the request again later; quote the request id if it goes on."),
    503: ("server", "Wait as long as the Retry-After header says, then send the request again."),
}
