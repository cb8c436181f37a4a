"""Error responses in the shapes of the four dialects, chosen by path: also for 404s and broken requests."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar.params import KwargDefinition
from msgspec import UNSET, Struct, UnsetType

from app.domain.errors import DomainError

Body = dict[str, Any] | Struct


class ErrorContext(Struct, frozen=True, kw_only=True):
    """The facts of a request that the shape of its error response depends on."""

    path: str
    has_xi_key: bool
    user_type: str | None
    request_id: str


Shape = Callable[[DomainError, ErrorContext], tuple[int, Body]]


class Answer(Struct, frozen=True):
    """An error response as it is sent."""

    status: int
    headers: dict[str, str]
    body: bytes


class CodeVoiceErrorDetail(Struct, frozen=True, kw_only=True):
    """`error`: a stable code. Errors of a field also have `field`, and `limit` where it has one."""

    error: str
    message: str
    user_type: str | None


class CodeVoiceError(Struct, frozen=True):
    """An error in CodeVoice's dialect."""

    detail: CodeVoiceErrorDetail


class ElevenLabsErrorDetail(Struct, frozen=True, kw_only=True):
    """`status`: a stable code."""

    status: str
    message: str


class ElevenLabsError(Struct, frozen=True):
    """An error in ElevenLabs' dialect."""

    detail: ElevenLabsErrorDetail


class OpenAIErrorDetail(Struct, frozen=True, kw_only=True):
    """`code`: a stable code. `param`: the field that is wrong."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIError(Struct, frozen=True):
    """An error in OpenAI's dialect."""

    error: OpenAIErrorDetail


class YourVoicErrorDetail(Struct, frozen=True, kw_only=True):
    """`code`: a stable code. `details`: the field that is wrong, and its limit."""

    code: str
    message: str
    category: str
    resolution: str
    details: dict[str, Any] | UnsetType = UNSET


class YourVoicError(Struct, frozen=True, kw_only=True):
    """An error in YourVoic's dialect."""

    success: Literal[False] = False
    error: YourVoicErrorDetail
    request_id: str
    timestamp: Annotated[str, KwargDefinition(format="date-time")]


def answer(error: DomainError, context: ErrorContext, shape: Shape | None = None) -> Answer:
    """The error in this shape, or else in that of the dialect that the request's path belongs to."""
    shape = shape or dialect(context.path, has_xi_key=context.has_xi_key)
    status, body = shape(error, context)
    return Answer(status, error.headers, msgspec.json.encode(body))


def dialect(path: str, *, has_xi_key: bool) -> Shape:
    """The function that shapes errors under this path: YourVoic's, OpenAI's, ElevenLabs' or CodeVoice's."""
    if _is_under(path, ("/api/v1",)):
        return yourvoic
    if _is_under(path, ("/v1/audio", "/v1/models")):
        return elevenlabs if has_xi_key else openai
    if _is_under(path, ("/v1/text-to-speech", "/v1/user", "/v2")):
        return elevenlabs
    return codevoice


def public(kind: type[DomainError], shape: Shape) -> tuple[int, str]:
    """The status and code of an error of this kind in this shape."""
    return _in_yourvoic(kind) if shape is yourvoic else (kind.status, kind.code)


def codevoice(error: DomainError, context: ErrorContext) -> tuple[int, Body]:
    """`{"detail": {error, message, user_type, …}}`"""
    detail = {"error": error.code, "message": error.message, "user_type": context.user_type, **error.fields}
    return error.status, {"detail": detail, **error.beside}


def elevenlabs(error: DomainError, context: ErrorContext) -> tuple[int, Body]:  # noqa: ARG001
    """`{"detail": {status, message}}`"""
    return error.status, ElevenLabsError(ElevenLabsErrorDetail(status=error.code, message=error.message))


def openai(error: DomainError, context: ErrorContext) -> tuple[int, Body]:  # noqa: ARG001
    """`{"error": {message, type, param, code}}`"""
    return error.status, openai_error(error)


def openai_error(error: DomainError) -> OpenAIError:
    """The body alone, which OpenAI's event streams use too."""
    field = str(error.fields["field"]) if error.fields.get("field") else None
    detail = OpenAIErrorDetail(
        message=error.message,
        type=_OPENAI_TYPES.get(error.status, "server_error" if error.status >= 500 else _OPENAI_DEFAULT),
        param=_OPENAI_PARAMS.get(field, field) if field else None,
        code=error.code,
    )
    return OpenAIError(detail)


def yourvoic(error: DomainError, context: ErrorContext) -> tuple[int, Body]:
    """`{"success": false, "error": {code, message, details?, category, resolution}, …}`"""
    status, code = _in_yourvoic(type(error))
    category, resolution = _YOURVOIC_ADVICE.get(status, _YOURVOIC_ADVICE[status // 100 * 100])
    detail = YourVoicErrorDetail(
        code=code,
        message=error.message,
        category=category,
        resolution=resolution,
        details=error.fields or UNSET,
    )
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return status, YourVoicError(error=detail, request_id=context.request_id, timestamp=now)


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
