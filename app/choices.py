"""What each part is told of the operator's settings."""

from app.api.audio_response import EXPOSED
from app.api.codevoice.transcription import UploadLimits
from app.domain.accounts.mail import Mailer, open_mailer
from app.domain.database import Database
from app.domain.jobs.submission import SubmissionLimits
from app.domain.speech.audio_urls import AudioRules
from app.domain.speech.service import SpeechLimits
from app.domain.speech.synchronous import SynchronousLimits
from app.domain.storage_quotas import StorageLimits, StorageQuotas
from app.domain.stream_limits import LEASE_S, ConcurrentStreams, StreamLimits
from app.domain.transcription.service import TranscriptionLimits
from app.http.cors import Cors
from app.http.rate_limit import Limits
from app.settings import AppSettings
from db.redis.open_streams import StreamCounts
from db.settings import DbSettings
from db.storage.disk import StoreDisk

_RESERVED = 3  # connections


def record(settings: AppSettings, db: DbSettings) -> Database:
    """For requests."""
    return _record(settings, db, db.pool_connections)


def reserve(settings: AppSettings, db: DbSettings) -> Database:
    """For readiness and for news of callers, which come however busy the requests' connections are."""
    return _record(settings, db, _RESERVED)


def _record(settings: AppSettings, db: DbSettings, connections: int) -> Database:
    return Database(
        db.database_url,
        connections_max=connections,
        statement_timeout_ms=db.statement_timeout_ms,
        wait_s=settings.database_wait_s,
        waiting_max=settings.database_waiting_max,
        silent_s=settings.database_silent_s,
    )


def mailer(settings: AppSettings) -> Mailer:
    """How mail goes out."""
    return open_mailer(
        smtp_url=settings.smtp_url,
        folder=settings.mail_folder,
        sender=settings.mail_from,
        is_text_logged=settings.mail_text_logged,
    )


def speech_limits(settings: AppSettings) -> SpeechLimits:
    """For speech."""
    return SpeechLimits(
        text_characters_max=settings.text_characters_max,
        jobs_waiting_max=settings.jobs_waiting_max,
        audio_ms_per_character_max=settings.audio_ms_per_character_max,
    )


def intake_limits(settings: AppSettings) -> SubmissionLimits:
    """For the queue before the record."""
    return SubmissionLimits(
        queue_wait_s=settings.queue_wait_s,
        jobs_waiting_max=settings.jobs_waiting_max,
        requests_waiting_max=settings.submits_waiting_max,
    )


def answer_limits(settings: AppSettings) -> SynchronousLimits:
    """For speech in the answer."""
    return SynchronousLimits(
        characters_max=settings.answer_characters_max,
        first_audio_wait_s=settings.first_audio_wait_s,
        waiting_max=settings.answers_waiting_max,
        refunds_max=settings.stream_refunds_max,
    )


def streams(settings: AppSettings, db: DbSettings) -> ConcurrentStreams:
    """Places for streams."""
    limits = StreamLimits(
        key_max=settings.streams_max,
        account_max=settings.account_streams_max,
        address_max=settings.address_streams_max,
        wait_s=settings.limits_wait_ms / 1000,
    )
    return ConcurrentStreams(StreamCounts(db.redis_url, lease_s=LEASE_S), limits)


def storage(settings: AppSettings, db: DbSettings, record: Database) -> StorageQuotas:
    """Room for what jobs make."""
    limits = StorageLimits(free_bytes_max=settings.free_stored_bytes_max, bytes_max=settings.stored_bytes_max)
    return StorageQuotas(record, StoreDisk(db), limits)


def cors(settings: AppSettings) -> Cors | None:
    """Scripts of these origins may call us."""
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    return Cors(origins, exposed=EXPOSED) if origins else None


def transcription_limits(settings: AppSettings) -> TranscriptionLimits:
    """For transcription."""
    return TranscriptionLimits(
        seconds_max=settings.upload_audio_s_max,
        wait_s=settings.transcription_wait_s,
        jobs_waiting_max=settings.jobs_waiting_max,
    )


def upload_limits(settings: AppSettings) -> UploadLimits:
    """For uploads while they arrive."""
    return UploadLimits(bytes_max=settings.upload_bytes_max, wait_s=settings.upload_wait_s)


def gate_limits(settings: AppSettings) -> Limits:
    """For the gate: how often somebody may ask."""
    return Limits(
        posts_per_minute=settings.posts_per_minute,
        posts_burst=settings.posts_burst,
        account_posts_per_minute=settings.account_posts_per_minute,
        account_posts_burst=settings.account_posts_burst,
        status_polls_per_s=settings.status_polls_per_s,
        account_logins_per_15min=settings.account_logins_per_15min,
        address_logins_per_15min=settings.address_logins_per_15min,
        email_logins_per_15min=settings.email_logins_per_15min,
        login_slow_s=settings.login_slow_s,
        resets_per_15min=settings.resets_per_15min,
        address_registrations_per_hour=settings.address_registrations_per_hour,
        without_store=settings.limits_without_redis,
        wait_s=settings.limits_wait_ms / 1000,
    )


def audio_rules(settings: AppSettings) -> AudioRules:
    """For addresses of audio."""
    return AudioRules(
        url_s=settings.audio_url_s,
        bare_hours=settings.bare_audio_hours,
        require_owner=settings.require_owner,
    )
