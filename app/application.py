"""Builds the front door: every part once, passed to whoever needs it. Nothing happens at import."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple, cast

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from app import choices
from app.account_services import open_account_services
from app.api.admin import admin_routes
from app.api.admin.desk import AdminContext
from app.api.audio_response import AudioResponder
from app.api.codevoice.accounts import auth_routes
from app.api.codevoice.api_keys import key_routes
from app.api.codevoice.audio import audio_route, stream_route
from app.api.codevoice.dashboard import dashboard_route
from app.api.codevoice.email_verification import verification_routes
from app.api.codevoice.jobs import job_routes
from app.api.codevoice.live_transcription import live_routes
from app.api.codevoice.passwords import password_routes
from app.api.codevoice.samples import sample_route
from app.api.codevoice.speech import status_route, submit_route, voices_route
from app.api.codevoice.transcription import UploadLimits, transcription_routes
from app.api.codevoice.transcripts import transcript_route
from app.api.elevenlabs.account import subscription_route, voice_search_route
from app.api.elevenlabs.speech import convert_routes
from app.api.health import health_routes
from app.api.openai.models import model_routes
from app.api.openai.speech import speech_route
from app.api.openai.transcriptions import openai_transcription_routes
from app.api.yourvoic.account import credits_route, usage_route
from app.api.yourvoic.lists import list_routes
from app.api.yourvoic.speech import generate_routes
from app.dashboard.flash import Flashes
from app.dashboard.pages.documentation import Facts
from app.dashboard.pages.reference import Reference
from app.dashboard.rendering import Pages
from app.dashboard.routes import DashboardParts, page_routes
from app.dashboard.static_files import Statics
from app.domain.accounts.api_keys import ApiKeys
from app.domain.accounts.email_verification import EmailVerification
from app.domain.accounts.mail_queue import MailQueue
from app.domain.accounts.password_hashing import PasswordHasher, argon2id
from app.domain.accounts.password_reset import PasswordReset
from app.domain.accounts.service import Accounts
from app.domain.billing.price_book import PriceBook
from app.domain.billing.statement import Statement
from app.domain.billing.usage_report import UsageReport
from app.domain.billing.usage_summary import UsageSummaries
from app.domain.database import Database
from app.domain.health import Health
from app.domain.identity.cache_invalidation import CacheInvalidation
from app.domain.identity.key_crypto import KeyRing
from app.domain.identity.principal_cache import KeyUsageLog, PrincipalCache
from app.domain.identity.principals import Principal, Principals
from app.domain.identity.tokens import Tokens
from app.domain.jobs.history import History
from app.domain.jobs.notifications import JobNotifications
from app.domain.jobs.service import Jobs
from app.domain.jobs.submission import JobSubmitter
from app.domain.jobs.worker_wakeup import WorkerWakeup
from app.domain.speech.audio_urls import AudioUrls
from app.domain.speech.samples import Samples
from app.domain.speech.service import SpeechService
from app.domain.speech.synchronous import SynchronousSpeech
from app.domain.speech.waveform_cache import WaveformCache
from app.domain.storage_quotas import StorageQuotas
from app.domain.store_health import StoreHealth
from app.domain.stream_limits import ConcurrentStreams
from app.domain.transcription.live_sessions import LiveSessions
from app.domain.transcription.service import TranscriptionService
from app.domain.transcription.stored_transcripts import StoredTranscripts
from app.domain.voices.aliases import Aliases, read_choices
from app.domain.voices.catalog import Catalogs
from app.domain.voices.model_downloads import ModelStates
from app.http.authentication import Authenticator, middleware
from app.http.client_address import ClientAddresses, networks
from app.http.middleware import RequestMiddleware
from app.http.rate_limit import RateLimitGuard
from app.http.sessions import Sessions
from app.openapi.document import Document, document_route
from app.settings import AppSettings
from db.redis.token_buckets import Buckets
from db.settings import DbSettings
from db.storage.objects import Objects, open_store

_OPEN_S = 2.0  # Postgres is given so long at start; then we serve without


class Parts(NamedTuple):
    """What lives as long as the server."""

    record: Database
    reserve: Database
    nudger: WorkerWakeup
    catalogs: Catalogs
    store: Objects
    passwords: PasswordHasher
    buckets: Buckets
    streams: ConcurrentStreams
    storage: StorageQuotas
    gate: RateLimitGuard
    authenticator: Authenticator
    accounts: Accounts
    keys: ApiKeys
    watch: CacheInvalidation
    resets: PasswordReset
    verification: EmailVerification
    outbox: MailQueue
    signals: JobNotifications
    prices: PriceBook
    speech: SpeechService
    answers: SynchronousSpeech
    aliases: Aliases
    samples: Samples
    jobs: Jobs
    live: LiveSessions
    transcriptions: TranscriptionService
    transcripts: StoredTranscripts
    reports: UsageSummaries
    addresses: AudioUrls
    health: Health
    desk: AdminContext
    sessions: Sessions


def create_app(settings: AppSettings, db: DbSettings) -> RequestMiddleware:
    """The ASGI application. Raises StoreError where the store's URL makes no sense."""
    parts = build(settings, db)
    routes = _routes(parts, body_bytes_max=settings.body_bytes_max, uploads=choices.upload_limits(settings))
    document = Document(routes)
    shown = _dashboard(parts, document, settings)
    app = Litestar(
        route_handlers=[*routes, document_route(document), *page_routes(shown)],
        middleware=[middleware(parts.authenticator, parts.gate)],
        exception_handlers={Exception: shown.pages.answer_error},
        lifespan=[_running(parts)],
        request_max_body_size=settings.body_bytes_max,
        openapi_config=None,
        logging_config=None,
    )
    return RequestMiddleware(
        app,
        cors=choices.cors(settings),
        is_secure=settings.public_url.startswith("https:"),
        drain=parts.signals.end_waits,
    )


def build(settings: AppSettings, db: DbSettings) -> Parts:
    """Every part, not started yet."""
    record, reserve = choices.record(settings, db), choices.reserve(settings, db)
    keys = _key_ring(settings)
    tokens = _tokens(settings)
    passwords = _passwords(settings)
    remembered, uses = PrincipalCache[Principal](settings.principal_cache_s), KeyUsageLog()
    principals = Principals(record, keys, tokens, remembered=remembered, uses=uses)
    sessions = _sessions(tokens, principals, settings)
    chosen = read_choices(settings.voice_aliases)
    catalogs, nudger, store = Catalogs(record, chosen), WorkerWakeup(db.redis_url), open_store(db.objects)
    store_state = StoreHealth(store)
    buckets, signals, prices = Buckets(db.redis_url), JobNotifications(db.redis_url), PriceBook(record)
    streams, storage = choices.streams(settings, db), choices.storage(settings, db, record)
    intake = JobSubmitter(record, choices.intake_limits(settings), nudger)
    speech = SpeechService(
        record, catalogs, prices, intake, signals, storage, choices.speech_limits(settings)
    )
    people = open_account_services(record, keys, passwords, tokens, principals, settings)
    return Parts(
        record=record,
        reserve=reserve,
        streams=streams,
        storage=storage,
        nudger=nudger,
        catalogs=catalogs,
        store=store,
        passwords=passwords,
        buckets=buckets,
        gate=_gate(settings, buckets, keys),
        authenticator=Authenticator(principals, sessions),
        accounts=people.accounts,
        resets=people.resets,
        verification=people.verification,
        outbox=people.outbox,
        keys=ApiKeys(record, keys, principals, keys_max=settings.keys_max, reveal=settings.reveal),
        watch=CacheInvalidation(reserve, remembered, uses),
        signals=signals,
        prices=prices,
        speech=speech,
        answers=SynchronousSpeech(
            speech, record, signals, store, streams, store_state, choices.answer_limits(settings)
        ),
        aliases=Aliases(catalogs),
        samples=Samples(
            record, catalogs, speech, signals, store, store_state, public_url=settings.public_url
        ),
        jobs=Jobs(record, signals, principals),
        live=_live(record, prices, settings),
        transcriptions=TranscriptionService(
            record,
            catalogs,
            prices,
            intake,
            signals,
            store,
            storage,
            store_state,
            choices.transcription_limits(settings),
        ),
        transcripts=StoredTranscripts(record, store),
        reports=UsageSummaries(record),
        addresses=AudioUrls(bytes.fromhex(settings.url_secret), choices.audio_rules(settings)),
        health=Health(reserve, store_state, storage, signals),
        desk=_desk(record, keys, passwords, nudger, signals, settings),
        sessions=sessions,
    )


def _live(record: Database, prices: PriceBook, settings: AppSettings) -> LiveSessions:
    secret = bytes.fromhex(settings.url_secret)
    return LiveSessions(record, prices, secret, characters_max=settings.transcript_characters_max)


def _key_ring(settings: AppSettings) -> KeyRing:
    return KeyRing(
        pepper=bytes.fromhex(settings.key_pepper), encryption_key=bytes.fromhex(settings.key_encryption_key)
    )


def _passwords(settings: AppSettings) -> PasswordHasher:
    return PasswordHasher(
        argon2id(), threads=settings.password_threads, waiting_max=settings.password_waiting_max
    )


def _gate(settings: AppSettings, buckets: Buckets, keys: KeyRing) -> RateLimitGuard:
    clients = ClientAddresses(networks(settings.trusted_proxies))
    return RateLimitGuard(choices.gate_limits(settings), buckets, clients, keys.digest)


def _tokens(settings: AppSettings) -> Tokens:
    return Tokens(
        bytes.fromhex(settings.jwt_secret),
        token_s=settings.token_s,
        refresh_token_s=settings.refresh_token_s,
        session_s=settings.session_s,
    )


def _sessions(tokens: Tokens, principals: Principals, settings: AppSettings) -> Sessions:
    return Sessions(tokens, principals, bytes.fromhex(settings.jwt_secret), is_secure=_is_secure(settings))


def _flashes(settings: AppSettings) -> Flashes:
    return Flashes(bytes.fromhex(settings.jwt_secret), is_secure=_is_secure(settings))


def _is_secure(settings: AppSettings) -> bool:
    return settings.public_url.startswith("https:")


def _dashboard(parts: Parts, document: Document, settings: AppSettings) -> DashboardParts:
    statics = Statics()
    return DashboardParts(
        pages=Pages(
            parts.sessions, _flashes(settings), parts.accounts, statics, low_credits=settings.low_credits
        ),
        statics=statics,
        accounts=parts.accounts,
        resets=parts.resets,
        verification=parts.verification,
        gate=parts.gate,
        keys=parts.keys,
        speech=parts.speech,
        catalogs=parts.catalogs,
        models=ModelStates(settings.models_state),
        prices=parts.prices,
        reports=parts.reports,
        history=History(parts.record),
        transcripts=parts.transcripts,
        addresses=parts.addresses,
        waveforms=WaveformCache(parts.store),
        ledger=Statement(parts.record),
        usage=UsageReport(parts.record),
        desk=parts.desk,
        reference=Reference(document.text),
        facts=Facts(
            public_url=settings.public_url,
            text_characters_max=settings.text_characters_max,
            posts_per_minute=settings.posts_per_minute,
            account_posts_per_minute=settings.account_posts_per_minute,
            posts_burst=settings.posts_burst,
            jobs_waiting_max=settings.jobs_waiting_max,
            upload_bytes_max=settings.upload_bytes_max,
            upload_audio_s_max=settings.upload_audio_s_max,
        ),
    )


def _desk(
    record: Database,
    keys: KeyRing,
    passwords: PasswordHasher,
    nudger: WorkerWakeup,
    signals: JobNotifications,
    settings: AppSettings,
) -> AdminContext:
    return AdminContext(
        record,
        keys,
        passwords,
        nudger,
        signals,
        keep_sealed=settings.reveal == "always",
        keys_max=settings.keys_max,
        queue_wait_s=settings.queue_wait_s,
        jobs_waiting_max=settings.jobs_waiting_max,
        public_url=settings.public_url.rstrip("/"),
    )


def handlers() -> list[HTTPRouteHandler]:
    """Every route, not to be called: for whoever wants to know which there are."""
    nothing = cast("Parts", Parts(*[None] * len(Parts._fields)))  # type: ignore[arg-type]
    shown = DashboardParts(**dict.fromkeys(DashboardParts.__struct_fields__))  # type: ignore[arg-type]
    uploads = UploadLimits(bytes_max=0, wait_s=0)
    return [*_routes(nothing, body_bytes_max=0, uploads=uploads), *page_routes(shown)]


def _routes(parts: Parts, *, body_bytes_max: int, uploads: UploadLimits) -> list[HTTPRouteHandler]:
    size = body_bytes_max
    return [
        submit_route(parts.speech, parts.authenticator, parts.gate, body_bytes_max=size),
        status_route(parts.speech, parts.addresses),
        audio_route(parts.speech, parts.addresses, parts.authenticator, parts.store),
        stream_route(
            parts.speech, parts.answers, parts.addresses, parts.authenticator, parts.gate, parts.store
        ),
        *job_routes(parts.jobs, parts.speech, parts.addresses, parts.authenticator, parts.streams),
        voices_route(parts.catalogs, parts.samples),
        sample_route(parts.samples, parts.store),
        *generate_routes(parts.answers, parts.store, parts.catalogs, body_bytes_max=size),
        speech_route(AudioResponder(parts.answers, parts.store), parts.aliases, body_bytes_max=size),
        *convert_routes(AudioResponder(parts.answers, parts.store), parts.aliases, body_bytes_max=size),
        voice_search_route(parts.catalogs, parts.samples),
        subscription_route(parts.accounts, parts.reports),
        *model_routes(parts.aliases, parts.catalogs),
        *list_routes(parts.catalogs, parts.samples, parts.health),
        *verification_routes(parts.verification, parts.gate, body_bytes_max=size),
        usage_route(parts.reports, parts.storage),
        *auth_routes(parts.accounts, parts.gate, parts.storage, body_bytes_max=size),
        dashboard_route(parts.accounts, parts.reports, parts.storage, parts.addresses),
        credits_route(parts.accounts, parts.reports),
        *transcription_routes(parts.transcriptions, uploads),
        transcript_route(parts.transcripts),
        *openai_transcription_routes(parts.transcriptions, parts.aliases, uploads),
        *live_routes(parts.live, body_bytes_max=size),
        *password_routes(parts.resets, parts.gate, body_bytes_max=size),
        *key_routes(parts.keys, body_bytes_max=size),
        *health_routes(parts.health),
        *admin_routes(parts.desk, body_bytes_max=size),
    ]


def _running(parts: Parts) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def running(_app: Litestar) -> AsyncGenerator[None]:
        await asyncio.gather(*(each.open(within_s=_OPEN_S) for each in (parts.record, parts.reserve)))
        await parts.buckets.open()
        await parts.streams.open()
        parts.watch.start()
        parts.signals.start()
        try:
            yield
        finally:
            await parts.signals.close()
            await parts.watch.close()
            await parts.outbox.close()
            parts.nudger.close()
            parts.passwords.close()
            await parts.streams.close()
            await parts.buckets.close()
            await asyncio.gather(parts.record.close(), parts.reserve.close())

    return running
