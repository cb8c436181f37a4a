"""Builds the components that live as long as the server: each once, passed to its users."""

from typing import NamedTuple

from app import choices
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
from app.domain.identity.key_crypto import KeyRing
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
from app.domain.stream_limits import ConcurrentStreams
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
from db.redis.token_buckets import Buckets
from db.settings import DbSettings
from db.storage.objects import Objects, open_store


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
    sessions = _sessions(base.tokens, principals, settings)
    submitter = JobSubmitter(base.database, choices.submission_limits(settings), base.wakeup)
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
        rate_limit=_rate_limit_guard(settings, base.buckets, base.keys),
        authenticator=Authenticator(principals, sessions),
        accounts=services.accounts,
        resets=services.resets,
        verification=services.verification,
        mail_queue=services.outbox,
        keys=_api_keys(base, principals, settings),
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
        audio_urls=AudioUrls(bytes.fromhex(settings.url_secret), choices.audio_rules(settings)),
        health=Health(base.reserve, base.store_state, base.storage, base.signals),
        admin_context=_admin_context(base, settings),
        sessions=sessions,
    )


def _base(settings: AppSettings, db: DbSettings) -> _Base:
    database, store = choices.database(settings, db), open_store(db.objects)
    return _Base(
        database=database,
        reserve=choices.reserve(settings, db),
        keys=_key_ring(settings),
        tokens=_tokens(settings),
        passwords=_passwords(settings),
        buckets=Buckets(db.redis_url),
        streams=choices.streams(settings, db),
        storage=choices.storage(settings, db, database),
        store=store,
        store_state=StoreHealth(store),
        catalogs=Catalogs(database, read_choices(settings.voice_aliases)),
        prices=PriceBook(database),
        signals=JobNotifications(db.redis_url),
        wakeup=WorkerWakeup(db.redis_url),
    )


def _speech(base: _Base, submitter: JobSubmitter, settings: AppSettings) -> SpeechService:
    return SpeechService(
        base.database,
        base.catalogs,
        base.prices,
        submitter,
        base.signals,
        base.storage,
        choices.speech_limits(settings),
    )


def _synchronous_speech(base: _Base, speech: SpeechService, settings: AppSettings) -> SynchronousSpeech:
    return SynchronousSpeech(
        speech,
        base.database,
        base.signals,
        base.store,
        base.streams,
        base.store_state,
        choices.synchronous_limits(settings),
    )


def _samples(base: _Base, speech: SpeechService, settings: AppSettings) -> Samples:
    return Samples(
        base.database,
        base.catalogs,
        speech,
        base.signals,
        base.store,
        base.store_state,
        public_url=settings.public_url,
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
        choices.transcription_limits(settings),
    )


def _api_keys(base: _Base, principals: Principals, settings: AppSettings) -> ApiKeys:
    return ApiKeys(base.database, base.keys, principals, keys_max=settings.keys_max, reveal=settings.reveal)


def _live_sessions(base: _Base, settings: AppSettings) -> LiveSessions:
    secret = bytes.fromhex(settings.url_secret)
    return LiveSessions(base.database, base.prices, secret, characters_max=settings.transcript_characters_max)


def _key_ring(settings: AppSettings) -> KeyRing:
    return KeyRing(
        pepper=bytes.fromhex(settings.key_pepper), encryption_key=bytes.fromhex(settings.key_encryption_key)
    )


def _passwords(settings: AppSettings) -> PasswordHasher:
    return PasswordHasher(
        argon2id(), threads=settings.password_threads, waiting_max=settings.password_waiting_max
    )


def _rate_limit_guard(settings: AppSettings, buckets: Buckets, keys: KeyRing) -> RateLimitGuard:
    clients = ClientAddresses(networks(settings.trusted_proxies))
    return RateLimitGuard(choices.rate_limits(settings), buckets, clients, keys.digest)


def _tokens(settings: AppSettings) -> Tokens:
    return Tokens(
        bytes.fromhex(settings.jwt_secret),
        token_s=settings.token_s,
        refresh_token_s=settings.refresh_token_s,
        session_s=settings.session_s,
    )


def _sessions(tokens: Tokens, principals: Principals, settings: AppSettings) -> Sessions:
    return Sessions(tokens, principals, bytes.fromhex(settings.jwt_secret), is_secure=is_secure(settings))


def _admin_context(base: _Base, settings: AppSettings) -> AdminContext:
    return AdminContext(
        base.database,
        base.keys,
        base.passwords,
        base.wakeup,
        base.signals,
        keep_sealed=settings.reveal == "always",
        keys_max=settings.keys_max,
        queue_wait_s=settings.queue_wait_s,
        jobs_waiting_max=settings.jobs_waiting_max,
        public_url=settings.public_url.rstrip("/"),
    )


def is_secure(settings: AppSettings) -> bool:
    """Whether browsers reach the server over HTTPS: cookies are then sent over it alone."""
    return settings.public_url.startswith("https:")
