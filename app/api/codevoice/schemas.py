"""Request and response bodies of CodeVoice's own dialect."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from app.api.fields import Absent, Email, Password
from app.domain.speech.validation import SpeechRequest
from db.types import UserType


class SpeechBody(SpeechRequest, frozen=True, kw_only=True):
    """POST /v1/tts. A key in a header takes precedence over `api_key`."""

    api_key: str | None = None


class Queued(Struct, frozen=True, kw_only=True):
    """The response to POST /v1/tts."""

    job_id: UUID
    status: Literal["queued"] = "queued"
    user_type: UserType
    tier: int
    message: str


class Status(Struct, frozen=True, kw_only=True):
    """GET /tts/status/{job_id}. `position`: jobs ahead, while queued.

    `charged`: credits were spent and not refunded; `credits`: how many, once the job has ended.
    `voice_used`, `voice_reason`: once it has ended, if another voice than requested spoke, and why.
    """

    status: Literal["queued", "processing", "completed", "failed"]
    created_at: datetime
    duration_ms: int | None
    position: int | None
    charged: bool
    credits: int | float | UnsetType = UNSET
    engine: str
    voice_used: str | UnsetType = UNSET
    voice_reason: str | UnsetType = UNSET
    audio_url: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class Cancelled(Struct, frozen=True, kw_only=True):
    """The response to DELETE /v1/jobs/{job_id}: what the job cost, also as a sentence (`settlement`)."""

    job_id: str
    charged: bool
    credits: int | float
    settlement: str
    status: Literal["cancelled"] = "cancelled"


class VoiceView(Struct, frozen=True, kw_only=True):
    """A voice, for every dialect that shares the path: CodeVoice's, YourVoic's and ElevenLabs' fields.

    An alias is listed as a voice too: `voice_used` is the id of the voice that currently speaks for it, with
    `engine`, and all other fields except id and name are that voice's.
    """

    name: str
    gender: str
    language: str
    language_name: str
    description: str
    quality: str
    id: str
    voice_id: str
    languages: tuple[str, ...]
    age: str
    style: str
    engine: str
    voice_used: str
    category: Literal["premade"] = "premade"
    labels: dict[str, str]
    sample_url: str | None = None
    preview_url: str | None = None


class VoiceList(Struct, frozen=True, kw_only=True):
    """GET /v1/voices. Pass `next_cursor` as `cursor` to get the next page."""

    voices: list[VoiceView]
    has_more: bool
    total_count: int
    next_cursor: str | None = None


class RegisterBody(Struct, frozen=True, kw_only=True):
    """POST /api/auth/register."""

    email: Email
    password: Password
    name: str | None = None
    invite: Annotated[str | None, Absent] = None


class LoginBody(Struct, frozen=True, kw_only=True):
    """POST /api/auth/login."""

    email: Email
    password: str


class RefreshBody(Struct, frozen=True, kw_only=True):
    """POST /api/auth/refresh."""

    refresh_token: str


class UserView(Struct, frozen=True, kw_only=True):
    """An account as its owner sees it. `email_verified`: false while free credits wait for it, or absent."""

    id: UUID
    email: str | None
    name: str | None
    user_type: UserType
    tier: int
    plan: str
    created_at: datetime
    email_verified: bool | UnsetType = UNSET


class LoginView(Struct, frozen=True, kw_only=True):
    """The response to sign-up, log-in and refresh; `api_key` is null if it is not shown (again)."""

    token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int
    refresh_token: str
    api_key: str | None
    user: UserView


class FreeCredits(Struct, frozen=True, kw_only=True):
    """The free credits of this month."""

    limit: int | float
    remaining: int | float
    resets_at: datetime


class PaidCredits(Struct, frozen=True, kw_only=True):
    """Paid credits."""

    remaining: int | float


class ApiCredits(Struct, frozen=True, kw_only=True):
    """Credits of an API-only account."""

    limit: int | float
    remaining: int | float
    extra: int | float
    unlimited: bool


class Credits(Struct, frozen=True, kw_only=True):
    """Credits by kind. `total_remaining` null: unlimited."""

    free: FreeCredits
    paid: PaidCredits
    api: ApiCredits | UnsetType = UNSET
    held: int | float
    total_remaining: int | float | None


class StorageView(Struct, frozen=True, kw_only=True):
    """What an account stores, and what its plan allows."""

    stored_bytes: int
    limit_bytes: int


class MeView(Struct, frozen=True, kw_only=True):
    """GET /api/auth/me."""

    user: UserView
    credits: Credits
    storage: StorageView


class Health(Struct, frozen=True, kw_only=True):
    """GET /health/live and /health/ready. `missing` names the unreachable components."""

    status: Literal["ok", "unavailable"]
    missing: list[str] | UnsetType = UNSET
