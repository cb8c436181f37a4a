"""The API server's settings: each is an environment variable `CODEVOICE_…`, with its unit.

A group holds what one component takes; its fields, described there, are variables like the others.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from app.domain.accounts.mail import MailSettings
from app.domain.database import DatabaseLimits
from app.domain.identity.key_crypto import KeySettings
from app.domain.jobs.submission import SubmissionLimits
from app.domain.speech.audio_urls import AudioRules
from app.domain.speech.service import SpeechLimits
from app.domain.speech.synchronous import SynchronousLimits
from app.domain.storage_quotas import StorageLimits
from app.domain.stream_limits import StreamLimits
from app.domain.transcription.service import UploadLimits
from app.http.rate_limit import RateLimits
from db.settings import PositiveInt, Seconds, Secret, read


class AppSettings(Struct, frozen=True, kw_only=True):
    """What an operator can configure of the API server; secrets have no default."""

    keys: KeySettings
    jwt_secret: Secret
    url_secret: Secret  # signs audio URLs and live sessions

    listen_fd: int | None = None  # an inherited listening socket; host and port are then ignored
    ready_fd: int | None = None  # readiness notification: receives one line once the process serves
    api_drain_s: Seconds = 2.5  # after TERM, for requests under way
    host: str = "127.0.0.1"
    port: int = 8000  # 0: any free
    public_url: str = ""  # the base URL callers use; empty if no absolute URL is needed
    models_state: str = ""  # a file that lists the models being downloaded; `codevoice up` sets it
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    cors_origins: str = "*"  # comma-separated; whose pages may call the API; empty: only our own
    trusted_proxies: str = ""  # comma-separated addresses and networks whose X-Forwarded-For is trusted

    registration: Literal["open", "invite", "closed"] = "open"
    email_verification: Literal["off", "required"] = "off"  # required: no free credits until verified
    voice_aliases: str = ""  # comma-separated alias=voice: the voices of OpenAI's or other names
    low_credits: Annotated[int, Meta(ge=0)] = 5  # at this many or fewer, the dashboard warns
    transcript_characters_max: PositiveInt = 100_000  # POST /api/stt/live/complete

    body_bytes_max: PositiveInt = 2_000_000
    header_bytes_max: PositiveInt = 65_536
    header_wait_s: Seconds = 20.0  # for a request's head, from the connection or its first byte
    body_wait_s: Seconds = 300.0  # for the rest of the request

    password_threads: PositiveInt = 2
    password_waiting_max: Annotated[int, Meta(ge=0)] = 32
    token_s: PositiveInt = 3600
    refresh_token_s: PositiveInt = 30 * 24 * 3600
    session_s: PositiveInt = 7 * 24 * 3600  # a browser's log-in
    principal_cache_s: Annotated[float, Meta(ge=0)] = 60.0  # life of a cache entry; changes apply in 1 s

    database: DatabaseLimits
    submission: SubmissionLimits
    storage: StorageLimits
    speech: SpeechLimits
    synchronous: SynchronousLimits
    streams: StreamLimits
    audio_urls: AudioRules
    uploads: UploadLimits
    rate_limits: RateLimits
    mail: MailSettings

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the server over HTTPS: cookies are then sent over it alone."""
        return self.public_url.startswith("https:")


def read_settings(environ: Mapping[str, str]) -> AppSettings:
    """The settings in `environ`. Raises SettingsError naming the variable at fault."""
    return read(AppSettings, environ)
