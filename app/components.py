"""Builds the components that live as long as the server: each once, passed to its users."""

from app.api.admin.context import AdminContext
from app.domain.accounts.api_keys import ApiKeys
from app.domain.accounts.email_verification import EmailVerification
from app.domain.accounts.mail import open_mailer
from app.domain.accounts.mail_queue import MailQueue
from app.domain.accounts.password_hashing import PasswordHasher, argon2id
from app.domain.accounts.password_reset import PasswordReset
from app.domain.accounts.service import Accounts
from app.domain.billing.price_book import PriceBook
from app.domain.billing.usage_summary import UsageSummaries
from app.domain.database import Database
from app.domain.health import Health
from app.domain.identity.cache_invalidation import CacheInvalidation
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
from db.storage.objects import open_store

_RESERVED = 3  # connections for readiness checks and cache invalidation, which must not wait for requests


class _Stores:
    """The components on which the others depend."""

    def __init__(self, settings: AppSettings, db: DbSettings) -> None:
        def database(connections: int) -> Database:
            timeout_ms = db.statement_timeout_ms
            return Database(
                db.database_url,
                settings.database,
                connections_max=connections,
                statement_timeout_ms=timeout_ms,
            )

        self.database = database(db.pool_connections)
        self.reserved_database = database(_RESERVED)
        self.store = open_store(db.objects)
        self.store_health = StoreHealth(self.store)
        self.buckets = Buckets(db.redis_url)
        self.notifications = JobNotifications(db.redis_url)
        self.wakeup = WorkerWakeup(db.redis_url)
        counts, redis_wait_s = StreamCounts(db.redis_url, lease_s=LEASE_S), settings.rate_limits.wait_s
        self.streams = ConcurrentStreams(counts, settings.streams, wait_s=redis_wait_s)
        self.storage = StorageQuotas(self.database, StoreDisk(db), settings.storage)
        self.catalogs = Catalogs(self.database, read_choices(settings.voice_aliases))
        self.aliases = Aliases(self.catalogs)
        self.prices = PriceBook(self.database)


class _Callers(_Stores):
    """Who calls: accounts, keys, tokens, sessions."""

    def __init__(self, settings: AppSettings, db: DbSettings) -> None:
        super().__init__(settings, db)
        database, ring, url = self.database, settings.keys.ring, settings.public_url
        jwt_secret, sealed = bytes.fromhex(settings.jwt_secret), settings.keys.keep_sealed
        reveal = settings.keys.reveal
        self.ring = ring
        self.passwords = PasswordHasher(
            argon2id(), threads=settings.password_threads, waiting_max=settings.password_waiting_max
        )
        tokens = Tokens(
            jwt_secret,
            token_s=settings.token_s,
            refresh_token_s=settings.refresh_token_s,
            session_s=settings.session_s,
        )
        cache, uses = PrincipalCache[Principal](settings.principal_cache_s), KeyUsageLog()
        self.cache_invalidation = CacheInvalidation(self.reserved_database, cache, uses)
        self.principals = Principals(database, ring, tokens, principal_cache=cache, uses=uses)
        self.sessions = Sessions(tokens, self.principals, jwt_secret, is_secure=settings.is_secure)
        self.authenticator = Authenticator(self.principals, self.sessions)
        clients = ClientAddresses(networks(settings.trusted_proxies))
        self.rate_limit = RateLimitGuard(settings.rate_limits, self.buckets, clients, ring.digest)
        self.keys = ApiKeys(database, ring, self.principals, keys_max=settings.keys.keys_max, reveal=reveal)
        self.mail_queue = MailQueue(open_mailer(settings.mail))
        self.verification = EmailVerification(
            database, tokens, self.mail_queue, mode=settings.email_verification, public_url=url
        )
        self.accounts = Accounts(
            database,
            ring,
            self.passwords,
            tokens,
            self.principals,
            self.verification,
            registration=settings.registration,
            reveal=reveal,
        )
        self.resets = PasswordReset(
            database,
            ring,
            self.passwords,
            self.principals,
            self.accounts,
            self.mail_queue,
            public_url=url,
            keep_sealed=sealed,
        )


class Components(_Callers):
    """The components that live as long as the server; none is started yet.

    Raises StoreError if the object store's URL is not valid, and SettingsError for settings that contradict.
    """

    def __init__(self, settings: AppSettings, db: DbSettings) -> None:
        super().__init__(settings, db)
        database, catalogs, prices, store = self.database, self.catalogs, self.prices, self.store
        signals, storage, health = self.notifications, self.storage, self.store_health
        secret, url = bytes.fromhex(settings.url_secret), settings.public_url
        jobs = JobSubmitter(database, settings.submission, self.wakeup)
        self.speech = SpeechService(database, catalogs, prices, jobs, signals, storage, settings.speech)
        self.synchronous = SynchronousSpeech(
            self.speech, database, signals, store, self.streams, health, settings.synchronous
        )
        self.samples = Samples(database, catalogs, self.speech, signals, store, health, public_url=url)
        self.audio_urls = AudioUrls(secret, settings.audio_urls)
        self.transcriptions = TranscriptionService(
            database, catalogs, prices, jobs, signals, store, storage, health, settings.uploads
        )
        self.transcripts = StoredTranscripts(database, store)
        characters_max = settings.transcript_characters_max
        self.live = LiveSessions(database, prices, secret, characters_max=characters_max)
        self.jobs = Jobs(database, signals, self.principals)
        self.usage_summaries = UsageSummaries(database)
        self.health = Health(self.reserved_database, health, storage, signals)
        self.admin_context = AdminContext(
            database,
            self.ring,
            self.passwords,
            self.wakeup,
            signals,
            keep_sealed=settings.keys.keep_sealed,
            keys_max=settings.keys.keys_max,
            queue_wait_s=settings.submission.queue_wait_s,
            jobs_waiting_max=settings.submission.jobs_waiting_max,
            public_url=url.rstrip("/"),
        )
