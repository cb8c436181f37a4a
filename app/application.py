"""Builds the API application: components, routes, middleware. Nothing happens at import."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from app.api.admin import admin_routes
from app.api.audio_response import EXPOSED, AudioResponder
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
from app.api.codevoice.transcription import transcription_routes
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
from app.components import Components
from app.dashboard.flash import Flashes
from app.dashboard.pages.documentation import Facts
from app.dashboard.pages.reference import Reference
from app.dashboard.rendering import Pages
from app.dashboard.routes import DashboardParts, page_routes
from app.dashboard.static_files import Statics
from app.domain.billing.statement import Statement
from app.domain.billing.usage_report import UsageReport
from app.domain.jobs.history import History
from app.domain.speech.waveform_cache import WaveformCache
from app.domain.transcription.service import UploadLimits
from app.domain.voices.model_downloads import ModelStates
from app.http.authentication import middleware
from app.http.cors import Cors
from app.http.middleware import RequestMiddleware
from app.openapi.document import Document, document_route
from app.settings import AppSettings
from db.settings import DbSettings

_OPEN_S = 2.0  # to connect to Postgres at start; then the server starts without it


def create_app(settings: AppSettings, db: DbSettings) -> RequestMiddleware:
    """Build the ASGI application. Raises StoreError if the object store's URL is not valid."""
    parts = Components(settings, db)
    routes = _routes(parts, body_bytes_max=settings.body_bytes_max, uploads=settings.uploads)
    document = Document(routes)
    dashboard = _dashboard(parts, document, settings)
    app = Litestar(
        route_handlers=[*routes, document_route(document), *page_routes(dashboard)],
        middleware=[middleware(parts.authenticator, parts.rate_limit)],
        exception_handlers={Exception: dashboard.pages.answer_error},
        lifespan=[_running(parts)],
        request_max_body_size=settings.body_bytes_max,
        openapi_config=None,
        logging_config=None,
    )
    return RequestMiddleware(
        app,
        cors=_cors(settings.cors_origins),
        is_secure=settings.is_secure,
        drain=parts.notifications.end_waits,
    )


def _cors(listed: str) -> Cors | None:
    """The rules for scripts of these origins; None if there are none."""
    origins = [origin.strip() for origin in listed.split(",") if origin.strip()]
    return Cors(origins, exposed=EXPOSED) if origins else None


def _dashboard(parts: Components, document: Document, settings: AppSettings) -> DashboardParts:
    statics = Statics()
    flashes = Flashes(bytes.fromhex(settings.jwt_secret), is_secure=settings.is_secure)
    return DashboardParts(
        pages=Pages(parts.sessions, flashes, parts.accounts, statics, low_credits=settings.low_credits),
        statics=statics,
        accounts=parts.accounts,
        resets=parts.resets,
        verification=parts.verification,
        rate_limit=parts.rate_limit,
        keys=parts.keys,
        speech=parts.speech,
        catalogs=parts.catalogs,
        models=ModelStates(settings.models_state),
        prices=parts.prices,
        reports=parts.usage_summaries,
        history=History(parts.database),
        transcripts=parts.transcripts,
        addresses=parts.audio_urls,
        waveforms=WaveformCache(parts.store),
        ledger=Statement(parts.database),
        usage=UsageReport(parts.database),
        context=parts.admin_context,
        reference=Reference(document.text),
        facts=Facts(
            public_url=settings.public_url,
            speech=settings.speech,
            rates=settings.rate_limits,
            submission=settings.submission,
            uploads=settings.uploads,
        ),
    )


class _NoParts:
    def __getattr__(self, _name: str) -> None: ...


def handlers() -> list[HTTPRouteHandler]:
    """Every route, for listing only: the handlers have no components and must not be called."""
    no_parts = cast("Components", _NoParts())
    dashboard = DashboardParts(**dict.fromkeys(DashboardParts.__struct_fields__))  # type: ignore[arg-type]
    return [*_routes(no_parts, body_bytes_max=0, uploads=UploadLimits()), *page_routes(dashboard)]


def _routes(parts: Components, *, body_bytes_max: int, uploads: UploadLimits) -> list[HTTPRouteHandler]:
    size = body_bytes_max
    return [
        submit_route(parts.speech, parts.authenticator, parts.rate_limit, body_bytes_max=size),
        status_route(parts.speech, parts.audio_urls),
        audio_route(parts.speech, parts.audio_urls, parts.authenticator, parts.store),
        stream_route(
            parts.speech,
            parts.synchronous,
            parts.audio_urls,
            parts.authenticator,
            parts.rate_limit,
            parts.store,
        ),
        *job_routes(parts.jobs, parts.speech, parts.audio_urls, parts.authenticator, parts.streams),
        voices_route(parts.catalogs, parts.samples),
        sample_route(parts.samples, parts.store),
        *generate_routes(parts.synchronous, parts.store, parts.catalogs, body_bytes_max=size),
        speech_route(AudioResponder(parts.synchronous, parts.store), parts.aliases, body_bytes_max=size),
        *convert_routes(AudioResponder(parts.synchronous, parts.store), parts.aliases, body_bytes_max=size),
        voice_search_route(parts.catalogs, parts.samples),
        subscription_route(parts.accounts, parts.usage_summaries),
        *model_routes(parts.aliases, parts.catalogs),
        *list_routes(parts.catalogs, parts.samples, parts.health),
        *verification_routes(parts.verification, parts.rate_limit, body_bytes_max=size),
        usage_route(parts.usage_summaries, parts.storage),
        *auth_routes(parts.accounts, parts.rate_limit, parts.storage, body_bytes_max=size),
        dashboard_route(parts.accounts, parts.usage_summaries, parts.storage, parts.audio_urls),
        credits_route(parts.accounts, parts.usage_summaries),
        *transcription_routes(parts.transcriptions, uploads),
        transcript_route(parts.transcripts),
        *openai_transcription_routes(parts.transcriptions, parts.aliases, uploads),
        *live_routes(parts.live, body_bytes_max=size),
        *password_routes(parts.resets, parts.rate_limit, body_bytes_max=size),
        *key_routes(parts.keys, body_bytes_max=size),
        *health_routes(parts.health),
        *admin_routes(parts.admin_context, body_bytes_max=size),
    ]


def _running(parts: Components) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def running(_app: Litestar) -> AsyncGenerator[None]:
        await asyncio.gather(
            *(each.open(within_s=_OPEN_S) for each in (parts.database, parts.reserved_database))
        )
        await parts.buckets.open()
        await parts.streams.open()
        parts.cache_invalidation.start()
        parts.notifications.start()
        try:
            yield
        finally:
            await parts.notifications.close()
            await parts.cache_invalidation.close()
            await parts.mail_queue.close()
            parts.wakeup.close()
            parts.passwords.close()
            await parts.streams.close()
            await parts.buckets.close()
            await asyncio.gather(parts.database.close(), parts.reserved_database.close())

    return running
