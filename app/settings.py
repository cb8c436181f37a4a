"""The front door's settings: each a variable `CODEVOICE_…`, with its unit."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from db.settings import read

Secret = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="32 random bytes in hexadecimal")]
Limit = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class AppSettings(Struct, frozen=True, kw_only=True):
    """What an operator may choose of the front door; secrets have no default."""

    key_pepper: Secret  # keys are found by a digest keyed with it
    key_encryption_key: Secret  # keys are shown again from a copy sealed with it
    jwt_secret: Secret
    url_secret: Secret  # signs audio URLs and live sessions

    listen_fd: int | None = None  # a listening socket handed over; host and port are then not used
    ready_fd: int | None = None  # a descriptor that gets a line when the process serves
    api_drain_s: Seconds = 2.5  # after TERM, for requests under way
    host: str = "127.0.0.1"
    port: int = 8000  # 0: any free
    public_url: str = ""  # where callers find us; empty where no absolute URL is needed
    models_state: str = ""  # a file that says which models are being fetched; `codevoice up` sets it
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    registration: Literal["open", "invite", "closed"] = "open"
    email_verification: Literal["off", "required"] = "off"  # required: no free credits before it
    reveal: Literal["always", "once"] = "always"  # the personal key: at each log-in, or at sign-up only
    require_owner: bool = False  # audio for its owner's credential alone
    bare_audio_hours: Annotated[int, Meta(ge=0)] = 24  # audio by bare path, after completion; 0: never
    audio_url_s: Limit = 3600

    text_characters_max: Limit = 100_000  # POST /v1/tts
    answer_characters_max: Limit = 5000  # speech in the answer, whole or streamed
    first_audio_wait_s: Seconds = 60.0  # then 503
    answers_waiting_max: Limit = 2000  # requests of a process that wait for speech, before 503
    streams_max: Limit = 64  # at once, a key (an account, where a token is used)
    account_streams_max: Limit = 128  # at once, an account with all of its keys
    address_streams_max: Limit = 64  # at once, an address that listens to another's job
    stream_refunds_max: Limit = 20  # streams of an account cut off and refunded a day, before 429
    cors_origins: str = "*"  # by commas, whose pages may call us; empty: none but our own
    voice_aliases: str = ""  # alias=voice by commas: what OpenAI's names, or others, stand for
    transcript_characters_max: Limit = 100_000  # POST /api/stt/live/complete
    jobs_waiting_max: Limit = 1000  # unfinished jobs an account may have
    free_stored_bytes_max: Limit = 1 << 30  # what an account on the free plan may keep in the store
    stored_bytes_max: Limit = 50 << 30  # what any other account may keep
    queue_wait_s: Limit = 3600  # a job still queued then expires
    audio_ms_per_character_max: Limit = 1000  # spoken at speed 1; held where audio is paid by the second

    upload_bytes_max: Limit = 25_000_000  # POST /transcribe
    upload_audio_s_max: Limit = 600
    upload_wait_s: Seconds = 300.0  # for an upload to arrive
    transcription_wait_s: Seconds = 600.0  # for its transcript, queue included, before 503

    body_bytes_max: Limit = 2_000_000
    header_bytes_max: Limit = 65_536
    header_wait_s: Seconds = 20.0  # for the head of a request, from the connection or its first byte on
    body_wait_s: Seconds = 300.0  # for the rest of it
    database_wait_s: Seconds = 5.0  # for a free connection
    database_waiting_max: Limit = 2000  # requests waiting for one, before 503
    database_silent_s: Seconds = 3.0  # without any answer, before whatever needs it is 503 at once
    submits_waiting_max: Limit = 2000  # speech requests of a process whose job is not written yet, before 503
    principal_cache_s: Annotated[float, Meta(ge=0)] = 60.0  # unchanged; changes are heard within a second
    keys_max: Limit = 50  # working keys an account may have

    posts_per_minute: Limit = 600  # a key
    posts_burst: Limit = 300  # of these at once
    account_posts_per_minute: Limit = 1200  # an account with all of its keys
    account_posts_burst: Limit = 600
    status_polls_per_s: Limit = 1000  # an address
    account_logins_per_15min: Limit = 10  # wrong ones, an e-mail (with an account or without) and network
    address_logins_per_15min: Limit = 100  # wrong log-ins, refreshes and the like; as many asked resets
    email_logins_per_15min: Limit = 100  # wrong ones, an e-mail: beyond, each is answered later
    login_slow_s: Annotated[float, Meta(ge=0)] = 1.0  # so much
    resets_per_15min: Limit = 10  # mails to an e-mail
    address_registrations_per_hour: Limit = 60
    limits_without_redis: Literal["open", "closed"] = "open"  # each process by itself, or 503
    limits_wait_ms: Limit = 50  # for Redis, before it counts as away
    trusted_proxies: str = ""  # addresses and networks, by commas, whose X-Forwarded-For is believed

    smtp_url: str = ""  # smtp://[user:password@]host[:port], smtps://…; empty: no mail goes out
    mail_from: str = "CodeVoice <codevoice@localhost>"
    mail_folder: str = ""  # mails as files, where there is no SMTP URL
    mail_text_logged: bool = False  # for developers: the log shows mails, with their tokens

    password_threads: Limit = 2
    password_waiting_max: Annotated[int, Meta(ge=0)] = 32
    token_s: Limit = 3600
    refresh_token_s: Limit = 30 * 24 * 3600
    session_s: Limit = 7 * 24 * 3600  # a browser's log-in
    low_credits: Annotated[int, Meta(ge=0)] = 5  # at this many or fewer, the dashboard warns


def read_settings(environ: Mapping[str, str]) -> AppSettings:
    """The settings in `environ`. Raises SettingsError naming the variable at fault."""
    return read(AppSettings, environ)
