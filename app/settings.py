"""The API server's settings: each is an environment variable `CODEVOICE_…`, with its unit."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from db.settings import read

Secret = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="32 random bytes in hexadecimal")]
Limit = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class AppSettings(Struct, frozen=True, kw_only=True):
    """What an operator can configure of the API server; secrets have no default."""

    key_pepper: Secret  # keys are looked up by a digest keyed with it
    key_encryption_key: Secret  # keys are shown again from a copy encrypted with it
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

    registration: Literal["open", "invite", "closed"] = "open"
    email_verification: Literal["off", "required"] = "off"  # required: no free credits until verified
    reveal: Literal["always", "once"] = "always"  # the personal key: shown at each log-in, or only at sign-up
    require_owner: bool = False  # audio only with its owner's credential
    bare_audio_hours: Annotated[int, Meta(ge=0)] = 24  # unsigned audio URLs, after completion; 0: never
    audio_url_s: Limit = 3600

    text_characters_max: Limit = 100_000  # POST /v1/tts
    answer_characters_max: Limit = 5000  # speech returned in the response, whole or streamed
    first_audio_wait_s: Seconds = 60.0  # then 503
    answers_waiting_max: Limit = 2000  # requests waiting for speech in one process, before 503
    streams_max: Limit = 64  # at once, for one key (for the account, if a token is used)
    account_streams_max: Limit = 128  # at once, for one account with all of its keys
    address_streams_max: Limit = 64  # at once, for one address without the owner's credential
    stream_refunds_max: Limit = 20  # an account's streams cut off and refunded a day, before 429
    cors_origins: str = "*"  # comma-separated; whose pages may call the API; empty: only our own
    voice_aliases: str = ""  # comma-separated alias=voice: the voices of OpenAI's or other names
    transcript_characters_max: Limit = 100_000  # POST /api/stt/live/complete
    jobs_waiting_max: Limit = 1000  # unfinished jobs an account may have
    free_stored_bytes_max: Limit = 1 << 30  # what an account on the free plan may store
    stored_bytes_max: Limit = 50 << 30  # what any other account may store
    queue_wait_s: Limit = 3600  # a job still queued after it expires
    audio_ms_per_character_max: Limit = 1000  # at speed 1; held if audio is priced by the second

    upload_bytes_max: Limit = 25_000_000  # POST /transcribe
    upload_audio_s_max: Limit = 600
    upload_wait_s: Seconds = 300.0  # for an upload to arrive
    transcription_wait_s: Seconds = 600.0  # for the transcript, queueing included, before 503

    body_bytes_max: Limit = 2_000_000
    header_bytes_max: Limit = 65_536
    header_wait_s: Seconds = 20.0  # for a request's head, from the connection or its first byte
    body_wait_s: Seconds = 300.0  # for the rest of the request
    database_wait_s: Seconds = 5.0  # for a free connection
    database_waiting_max: Limit = 2000  # requests waiting for one, before 503
    database_silent_s: Seconds = 3.0  # without any response, before requests that need it get 503 at once
    submits_waiting_max: Limit = 2000  # speech requests in one process whose job is unwritten, before 503
    principal_cache_s: Annotated[float, Meta(ge=0)] = 60.0  # life of a cache entry; changes apply in 1 s
    keys_max: Limit = 50  # active keys an account may have

    posts_per_minute: Limit = 600  # for one key
    posts_burst: Limit = 300  # of these at once
    account_posts_per_minute: Limit = 1200  # for one account with all of its keys
    account_posts_burst: Limit = 600
    status_polls_per_s: Limit = 1000  # for one address
    account_logins_per_15min: Limit = 10  # wrong ones, for an e-mail (known or not) and network
    address_logins_per_15min: Limit = 100  # wrong log-ins, refreshes and the like; also reset requests
    email_logins_per_15min: Limit = 100  # wrong ones, for an e-mail: beyond, each is delayed
    login_slow_s: Annotated[float, Meta(ge=0)] = 1.0  # the delay
    resets_per_15min: Limit = 10  # mails to one e-mail address
    address_registrations_per_hour: Limit = 60
    limits_without_redis: Literal["open", "closed"] = "open"  # open: each process counts alone; closed: 503
    limits_wait_ms: Limit = 50  # for Redis, before it counts as unavailable
    trusted_proxies: str = ""  # comma-separated addresses and networks whose X-Forwarded-For is trusted

    smtp_url: str = ""  # smtp://[user:password@]host[:port], smtps://…; empty: no mail is sent
    mail_from: str = "CodeVoice <codevoice@localhost>"
    mail_folder: str = ""  # writes mails as files if there is no SMTP URL
    mail_text_logged: bool = False  # for developers: mails are logged, with their tokens

    password_threads: Limit = 2
    password_waiting_max: Annotated[int, Meta(ge=0)] = 32
    token_s: Limit = 3600
    refresh_token_s: Limit = 30 * 24 * 3600
    session_s: Limit = 7 * 24 * 3600  # a browser's log-in
    low_credits: Annotated[int, Meta(ge=0)] = 5  # at this many or fewer, the dashboard warns


def read_settings(environ: Mapping[str, str]) -> AppSettings:
    """The settings in `environ`. Raises SettingsError naming the variable at fault."""
    return read(AppSettings, environ)
