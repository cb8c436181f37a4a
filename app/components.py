"""Builds the components that live as long as the server: each once, passed to its users."""

from typing import NamedTuple

from app.account_services import open_account_services
from app.api.admin.context import AdminContext
from app.domain.accounts.api_keys import ApiKeys
from app.domain.accounts.email_verification import EmailVerification
from app.domain.accounts.mail_queue import MailQueue
from app.domain.accounts.password_hashing import PasswordHasher, argon2id
from app.domain.accounts.password_reset import PasswordReset
from app.domain.accounts.service import Accounts
from app.domain.billing.price_book import PriceBook
from app.domain.billing.usage_summary import UsageSummaries
from app.domain.database import Database
from app.domain.health import Health
from app.domain.identity.cache_invalidation import CacheInvalidation
from app.domain.identity.key_crypto import KeyRing, KeySettings
from app.domain.identity.principal_cache import KeyUsageLog, PrincipalCache
from app.domain.identity.principals import Principal, Principals
from app.domain.identity.tokens import Tokens
from app.domain.jobs.notifications import JobNotifications
from app.domain.jobs.service import Jobs
from app.domain.jobs.submission import JobSubmitter
from app.domain.jobs.worker_wakeup import WorkerWakeup
from app.domain.speech.audio_urls import AudioUrls
from app.domain.speech.samples import Samples
from app.domain.speech.service import SpeechService
from app.domain.speech.synchronous import SynchronousSpeech
from app.domain.storage_quotas import StorageQuotas
from app.domain.store_health import StoreHealth
from app.domain.stream_limits import LEASE_S, ConcurrentStreams
from app.domain.transcription.live_sessions import LiveSessions
from app.domain.transcription.service import TranscriptionService
from app.domain.transcription.stored_transcripts import StoredTranscripts
from app.domain.voices.aliases import Aliases, read_choices
from app.domain.voices.catalog import Catalogs
from app.http.authentication import Authenticator
from app.http.client_address import ClientAddresses, networks
from app.http.rate_limit import RateLimitGuard
from app.http.sessions import Sessions
from app.settings import AppSettings
from db.redis.open_streams import StreamCounts
from db.redis.token_buckets import Buckets
from db.settings import DbSettings
from db.storage.disk import StoreDisk
from db.storage.objects import Objects, open_store

_RESERVED = 3  # connections for readiness checks and cache invalidation, which must not wait for requests


class Components(NamedTuple):
    """The components that live as long as the server."""

    database: Database
    reserved_database: Database
    wakeup: WorkerWakeup
    catalogs: Catalogs
    store: Objects
    passwords: PasswordHasher
    buckets: Buckets
    streams: ConcurrentStreams
    storage: StorageQuotas
    rate_limit: RateLimitGuard
    authenticator: Authenticator
    accounts: Accounts
    keys: ApiKeys
    cache_invalidation: CacheInvalidation
    resets: PasswordReset
    verification: EmailVerification
    mail_queue: MailQueue
    notifications: JobNotifications
    prices: PriceBook
    speech: SpeechService
    synchronous: SynchronousSpeech
    aliases: Aliases
    samples: Samples
    jobs: Jobs
    live: LiveSessions
    transcriptions: TranscriptionService
    transcripts: StoredTranscripts
    usage_summaries: UsageSummaries
    audio_urls: AudioUrls
    health: Health
    admin_context: AdminContext
    sessions: Sessions


class _Base(NamedTuple):
    """The components on which several others depend."""

    database: Database
    reserve: Database
    keys: KeyRing
    tokens: Tokens
    passwords: PasswordHasher
    buckets: Buckets
    streams: ConcurrentStreams
    storage: StorageQuotas
    store: Objects
    store_state: StoreHealth
    catalogs: Catalogs
    prices: PriceBook
    signals: JobNotifications
    wakeup: WorkerWakeup


def build(settings: AppSettings, db: DbSettings) -> Components:
    """Build every component; none is started yet."""
    base = _base(settings, db)
    cache, uses = PrincipalCache[Principal](settings.principal_cache_s), KeyUsageLog()
    principals = Principals(base.database, base.keys, base.tokens, principal_cache=cache, uses=uses)
    cookie_secret = bytes.fromhex(settings.jwt_secret)
    sessions = Sessions(base.tokens, principals, cookie_secret, is_secure=settings.is_secure)
    submitter = JobSubmitter(base.database, settings.submission, base.wakeup)
    clients = ClientAddresses(networks(settings.trusted_proxies))
    speech = _speech(base, submitter, settings)
    services = open_account_services(
        base.database, base.keys, base.passwords, base.tokens, principals, settings
    )
    return Components(
        database=base.database,
        reserved_database=base.reserve,
        streams=base.streams,
        storage=base.storage,
        wakeup=base.wakeup,
        catalogs=base.catalogs,
        store=base.store,
        passwords=base.passwords,
        buckets=base.buckets,
        rate_limit=RateLimitGuard(settings.rate_limits, base.buckets, clients, base.keys.digest),
        authenticator=Authenticator(principals, sessions),
        accounts=services.accounts,
        resets=services.resets,
        verification=services.verification,
        mail_queue=services.outbox,
        keys=_api_keys(base, principals, settings.keys),
        cache_invalidation=CacheInvalidation(base.reserve, cache, uses),
        notifications=base.signals,
        prices=base.prices,
        speech=speech,
        synchronous=_synchronous_speech(base, speech, settings),
        aliases=Aliases(base.catalogs),
        samples=_samples(base, speech, settings),
        jobs=Jobs(base.database, base.signals, principals),
        live=_live_sessions(base, settings),
        transcriptions=_transcriptions(base, submitter, settings),
        transcripts=StoredTranscripts(base.database, base.store),
        usage_summaries=UsageSummaries(base.database),
        audio_urls=AudioUrls(bytes.fromhex(settings.url_secret), settings.audio_urls),
        health=Health(base.reserve, base.store_state, base.storage, base.signals),
        admin_context=_admin_context(base, settings),
        sessions=sessions,
    )


def _base(settings: AppSettings, db: DbSettings) -> _Base:
    def open_database(connections: int) -> Database:
        return Database(
            db.database_url,
            settings.database,
            connections_max=connections,
            statement_timeout_ms=db.statement_timeout_ms,
        )

    database, store = open_database(db.pool_connections), open_store(db.objects)
    return _Base(
        database=database,
        reserve=open_database(_RESERVED),
        keys=settings.keys.ring,
        tokens=_tokens(settings),
        passwords=_passwords(settings),
        buckets=Buckets(db.redis_url),
        streams=ConcurrentStreams(
            StreamCounts(db.redis_url, lease_s=LEASE_S), settings.streams, wait_s=settings.rate_limits.wait_s
        ),
        storage=StorageQuotas(database, StoreDisk(db), settings.storage),
        store=store,
        store_state=StoreHealth(store),
        catalogs=Catalogs(database, read_choices(settings.voice_aliases)),
        prices=PriceBook(database),
        signals=JobNotifications(db.redis_url),
        wakeup=WorkerWakeup(db.redis_url),
    )


def _speech(base: _Base, submitter: JobSubmitter, settings: AppSettings) -> SpeechService:
    return SpeechService(
        base.database, base.catalogs, base.prices, submitter, base.signals, base.storage, settings.speech
    )


def _synchronous_speech(base: _Base, speech: SpeechService, settings: AppSettings) -> SynchronousSpeech:
    return SynchronousSpeech(
        speech,
        base.database,
        base.signals,
        base.store,
        base.streams,
        base.store_state,
        settings.synchronous,
    )


def _samples(base: _Base, speech: SpeechService, settings: AppSettings) -> Samples:
    url = settings.public_url
    return Samples(
        base.database, base.catalogs, speech, base.signals, base.store, base.store_state, public_url=url
    )


def _transcriptions(base: _Base, submitter: JobSubmitter, settings: AppSettings) -> TranscriptionService:
    return TranscriptionService(
        base.database,
        base.catalogs,
        base.prices,
        submitter,
        base.signals,
        base.store,
        base.storage,
        base.store_state,
        settings.uploads,
    )


def _api_keys(base: _Base, principals: Principals, by: KeySettings) -> ApiKeys:
    return ApiKeys(base.database, base.keys, principals, keys_max=by.keys_max, reveal=by.reveal)


def _live_sessions(base: _Base, settings: AppSettings) -> LiveSessions:
    secret = bytes.fromhex(settings.url_secret)
    return LiveSessions(base.database, base.prices, secret, characters_max=settings.transcript_characters_max)


def _passwords(settings: AppSettings) -> PasswordHasher:
    return PasswordHasher(
        argon2id(), threads=settings.password_threads, waiting_max=settings.password_waiting_max
    )


def _tokens(settings: AppSettings) -> Tokens:
    return Tokens(
        bytes.fromhex(settings.jwt_secret),
        token_s=settings.token_s,
        refresh_token_s=settings.refresh_token_s,
        session_s=settings.session_s,
    )


def _admin_context(base: _Base, settings: AppSettings) -> AdminContext:
    return AdminContext(
        base.database,
        base.keys,
        base.passwords,
        base.wakeup,
        base.signals,
        keep_sealed=settings.keys.keep_sealed,
        keys_max=settings.keys.keys_max,
        queue_wait_s=settings.submission.queue_wait_s,
        jobs_waiting_max=settings.submission.jobs_waiting_max,
        public_url=settings.public_url.rstrip("/"),
    )
