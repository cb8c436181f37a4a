"""Maps the operator's settings to each component's configuration."""

from app.api.audio_response import EXPOSED
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
from app.http.multipart import UploadLimits
from app.http.rate_limit import Limits
from app.settings import AppSettings
from db.redis.open_streams import StreamCounts
from db.settings import DbSettings
from db.storage.disk import StoreDisk

_RESERVED = 3  # connections


def database(settings: AppSettings, db: DbSettings) -> Database:
    """The database connections for requests."""
    return _database(settings, db, db.pool_connections)


def reserve(settings: AppSettings, db: DbSettings) -> Database:
    """The connections for readiness checks and cache invalidation, which must not wait for requests."""
    return _database(settings, db, _RESERVED)


def _database(settings: AppSettings, db: DbSettings, connections: int) -> Database:
    return Database(
        db.database_url,
        connections_max=connections,
        statement_timeout_ms=db.statement_timeout_ms,
        wait_s=settings.database_wait_s,
        waiting_max=settings.database_waiting_max,
        silent_s=settings.database_silent_s,
    )


def mailer(settings: AppSettings) -> Mailer:
    """The mailer: SMTP, a folder or the log."""
    return open_mailer(
        smtp_url=settings.smtp_url,
        folder=settings.mail_folder,
        sender=settings.mail_from,
        is_text_logged=settings.mail_text_logged,
    )


def speech_limits(settings: AppSettings) -> SpeechLimits:
    """The limits of a request for speech."""
    return SpeechLimits(
        text_characters_max=settings.text_characters_max,
        jobs_waiting_max=settings.jobs_waiting_max,
        audio_ms_per_character_max=settings.audio_ms_per_character_max,
    )


def submission_limits(settings: AppSettings) -> SubmissionLimits:
    """The limits of the queue for jobs that wait to be written to the database."""
    return SubmissionLimits(
        queue_wait_s=settings.queue_wait_s,
        jobs_waiting_max=settings.jobs_waiting_max,
        requests_waiting_max=settings.submits_waiting_max,
    )


def synchronous_limits(settings: AppSettings) -> SynchronousLimits:
    """The limits for speech returned in the response, whole or streamed."""
    return SynchronousLimits(
        characters_max=settings.answer_characters_max,
        first_audio_wait_s=settings.first_audio_wait_s,
        waiting_max=settings.answers_waiting_max,
        refunds_max=settings.stream_refunds_max,
    )


def streams(settings: AppSettings, db: DbSettings) -> ConcurrentStreams:
    """The limits on concurrent streams, counted in Redis."""
    limits = StreamLimits(
        key_max=settings.streams_max,
        account_max=settings.account_streams_max,
        address_max=settings.address_streams_max,
        wait_s=settings.limits_wait_ms / 1000,
    )
    return ConcurrentStreams(StreamCounts(db.redis_url, lease_s=LEASE_S), limits)


def storage(settings: AppSettings, db: DbSettings, database: Database) -> StorageQuotas:
    """The storage quotas for the results of jobs."""
    limits = StorageLimits(free_bytes_max=settings.free_stored_bytes_max, bytes_max=settings.stored_bytes_max)
    return StorageQuotas(database, StoreDisk(db), limits)


def cors(settings: AppSettings) -> Cors | None:
    """The CORS rules for the origins in the settings; None if there are none."""
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    return Cors(origins, exposed=EXPOSED) if origins else None


def transcription_limits(settings: AppSettings) -> TranscriptionLimits:
    """The limits of a transcription."""
    return TranscriptionLimits(
        seconds_max=settings.upload_audio_s_max,
        wait_s=settings.transcription_wait_s,
        jobs_waiting_max=settings.jobs_waiting_max,
    )


def upload_limits(settings: AppSettings) -> UploadLimits:
    """The limits of an upload while it arrives."""
    return UploadLimits(bytes_max=settings.upload_bytes_max, wait_s=settings.upload_wait_s)


def rate_limits(settings: AppSettings) -> Limits:
    """The rate limits."""
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
    """The rules for audio URLs."""
    return AudioRules(
        url_s=settings.audio_url_s,
        bare_hours=settings.bare_audio_hours,
        require_owner=settings.require_owner,
    )
