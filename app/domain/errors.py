"""Domain errors: each is a class with a status and a stable code; its message says the next step."""

from app.domain.accounts.errors import EmailTaken as EmailTaken
from app.domain.accounts.errors import InvalidInvite as InvalidInvite
from app.domain.accounts.errors import InvalidReset as InvalidReset
from app.domain.accounts.errors import InvalidVerification as InvalidVerification
from app.domain.accounts.errors import InviteRequired as InviteRequired
from app.domain.accounts.errors import LastAdministrator as LastAdministrator
from app.domain.accounts.errors import MailNotSetUp as MailNotSetUp
from app.domain.accounts.errors import NothingToVerify as NothingToVerify
from app.domain.accounts.errors import OwnAccount as OwnAccount
from app.domain.accounts.errors import RegistrationClosed as RegistrationClosed
from app.domain.accounts.errors import TooManyKeys as TooManyKeys
from app.domain.domain_error import DomainError as DomainError


class Internal(DomainError):
    def __init__(self) -> None:
        super().__init__("Something went wrong on our side. Quote the request id if you report it.")


class BadRequest(DomainError):
    status, code = 400, "bad_request"


class MalformedJson(DomainError):
    status, code = 400, "malformed_json"


class Unauthenticated(DomainError):
    status = 401

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="codevoice"'}


class MissingKey(Unauthenticated):
    code = "missing_api_key"

    def __init__(self) -> None:
        super().__init__(
            "Send your API key in the X-API-Key header, or a token as 'Authorization: Bearer TOKEN'."
        )


class InvalidKey(Unauthenticated):
    code = "invalid_api_key"

    def __init__(self) -> None:
        super().__init__("This API key is not known. Copy the key anew from your account.")


class ExpiredKey(Unauthenticated):
    code = "expired_api_key"

    def __init__(self) -> None:
        super().__init__("This API key has expired. Create a new one in your account.")


class RevokedKey(Unauthenticated):
    code = "revoked_api_key"

    def __init__(self) -> None:
        super().__init__("This API key was revoked. Use another key of your account.")


class InvalidToken(Unauthenticated):
    code = "invalid_token"

    def __init__(self) -> None:
        super().__init__("This token is not valid. Log in again.")


class ExpiredToken(Unauthenticated):
    code = "expired_token"

    def __init__(self) -> None:
        super().__init__("This token has expired. Refresh it at /api/auth/refresh or log in again.")


class LoginNeeded(Unauthenticated):
    code = "login_needed"

    def __init__(self) -> None:
        super().__init__("Log in to see this page.")


class WrongLogin(Unauthenticated):
    code = "invalid_credentials"

    def __init__(self) -> None:
        super().__init__("E-mail or password is wrong.")


class InsufficientCredits(DomainError):
    status, code = 402, "insufficient_credits"


class Suspended(DomainError):
    status, code = 403, "account_suspended"

    def __init__(self) -> None:
        super().__init__("This account is suspended. Please contact the operator.")


class Closed(DomainError):
    status, code = 403, "account_closed"


class MissingScope(DomainError):
    status, code = 403, "missing_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This API key lacks the scope '{scope}'.", scope=scope)


class StorageQuotaExceeded(DomainError):
    """The account has used up the storage its plan allows."""

    status, code = 403, "storage_quota_exceeded"


class StaleForm(DomainError):
    status, code = 403, "stale_form"

    def __init__(self) -> None:
        super().__init__("This page is from before you logged in or out. Load it again, then send the form.")


class ScopeTooWide(DomainError):
    status, code = 403, "scope_too_wide"


class SignatureRequired(DomainError):
    status, code = 403, "signed_url_required"


class NotFound(DomainError):
    status, code = 404, "not_found"


class MethodNotAllowed(DomainError):
    status, code = 405, "method_not_allowed"

    def __init__(self, allowed: str) -> None:
        super().__init__(f"Allowed here: {allowed}.", allowed=allowed.split(", "))
        self._allowed = allowed

    @property
    def headers(self) -> dict[str, str]:
        return {"Allow": self._allowed}


class UnknownModel(NotFound):
    code = "model_not_found"


class TooSlow(DomainError):
    status, code = 408, "request_timeout"


class NotReady(DomainError):
    status, code = 409, "not_ready"


class InFlight(DomainError):
    """An earlier request with the same Idempotency-Key has not ended yet."""

    status, code = 409, "request_in_flight"
    retry_after_s = 1


class Cancelled(DomainError):
    status, code = 409, "job_cancelled"


class TooLate(DomainError):
    status, code = 409, "too_late"


class NotEnough(DomainError):
    status, code = 409, "not_enough_credits"


class NotCharged(DomainError):
    status, code = 409, "not_charged"


class NotFailed(DomainError):
    status, code = 409, "not_failed"


class Gone(DomainError):
    status, code = 410, "gone"


class TextTooLong(DomainError):
    status, code = 413, "text_too_long"


class BodyTooLarge(DomainError):
    status, code = 413, "body_too_large"


class AudioTooLong(DomainError):
    status, code = 413, "audio_too_long"


class UnsupportedMediaType(DomainError):
    status, code = 415, "unsupported_media_type"


class UnsupportedAudio(DomainError):
    status, code = 415, "unsupported_audio"


class RangeNotSatisfiable(DomainError):
    status, code = 416, "range_not_satisfiable"

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"The audio has {size_bytes} bytes.", size_bytes=size_bytes)
        self._size_bytes = size_bytes

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Range": f"bytes */{self._size_bytes}"}


class Invalid(DomainError):
    """A field is invalid: the detail `field` names it, and `limit` is its limit where it has one."""

    status, code = 422, "validation_error"


class UnknownVoice(Invalid):
    code = "unknown_voice"


class UnknownLanguage(Invalid):
    code = "unknown_language"


class UnknownFormat(Invalid):
    code = "unknown_format"


class BrokenAudio(Invalid):
    code = "broken_audio"


class UnspeakableText(Invalid):
    """The engine's process crashed on this text, twice."""

    code = "unspeakable_text"


class UnsupportedScript(Invalid):
    """Much of the text is in a script that the voice does not read."""

    code = "unsupported_script"


class MissingText(Invalid):
    code = "missing_text"


class KeyReused(DomainError):
    status, code = 422, "idempotency_key_reused"


class TooManyWaiting(DomainError):
    status, code = 429, "too_many_waiting"


class RateLimited(DomainError):
    status, code = 429, "rate_limited"

    def __init__(self, retry_after_s: int) -> None:
        message = f"Too many requests. Send this one again in {retry_after_s} s."
        super().__init__(message, retry_after_s=retry_after_s)


class TooManyStreams(DomainError):
    status, code = 429, "too_many_streams"
    retry_after_s = 1


class TooManyRefunds(DomainError):
    """More of the account's streams were interrupted and refunded today than failures of ours explain."""

    status, code = 429, "too_many_refunds"


class HeadersTooLarge(DomainError):
    status, code = 431, "headers_too_large"


class Unavailable(DomainError):
    """A dependency is out of reach or overloaded: the same request may succeed later."""

    status, code = 503, "service_unavailable"
    retry_after_s = 1


class StoreFull(Unavailable):
    """The free space on the store's disk has fallen to the configured reserve."""

    code = "store_full"


class SpeechFailed(Unavailable):
    """The engine failed on the text, or on the attempt that was being streamed."""

    code = "speech_failed"

    def __init__(self, reason: str, settled: str = "") -> None:
        """`settled`: a sentence on what was charged, if that is known already (billing/settlement.py)."""
        message = f"The speech could not be made. {settled} Please try again."
        super().__init__(" ".join(message.split()), reason=reason)


class ConnectionLost(Unavailable):
    """The connection was lost while a statement was running: it is unknown whether it committed."""


class Contended(Unavailable):
    """Postgres rolled a statement back because of a concurrent one: nothing was changed."""
