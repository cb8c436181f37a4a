"""Builds the API application: components, routes, middleware. Nothing happens at import."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from litestar import Litestar, Router
from litestar.config.compression import CompressionConfig
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.middleware.compression import CompressionMiddleware

from app.api.audio_response import EXPOSED, AudioResponder
from app.api.codevoice.audio import AudioAccess
from app.api.codevoice.speech import SpeechStatuses
from app.api.routers import routers
from app.components import Components
from app.dashboard.flash import Flashes
from app.dashboard.forms import form_guard
from app.dashboard.pages.documentation import Facts
from app.dashboard.pages.playground import Playground
from app.dashboard.pages.reference import Reference
from app.dashboard.rendering import Pages
from app.dashboard.routes import pages_router
from app.dashboard.static_files import Statics
from app.domain.billing.statement import Statement
from app.domain.billing.usage_report import UsageReport
from app.domain.jobs.history import History
from app.domain.speech.waveform_cache import WaveformCache
from app.domain.voices.model_downloads import ModelStates
from app.http.api_request import ApiRequest
from app.http.authentication import access_guard, authentication
from app.http.cors import Cors
from app.http.json_response import JsonResponse
from app.http.middleware import RequestMiddleware
from app.openapi.document import Document, openapi_config, openapi_document
from app.openapi.errors import ErrorResponses
from app.settings import AppSettings
from db.settings import DbSettings

_OPEN_S = 2.0  # to connect to Postgres at start; then the server starts without it


def create_app(settings: AppSettings, db: DbSettings) -> RequestMiddleware:
    """Build the ASGI application. Raises StoreError if the object store's URL is not valid."""
    parts = Components(settings, db)
    document = Document(lambda: app.openapi_schema.to_schema())
    services = _services(parts, document, settings)
    guard = access_guard(parts.authenticator, parts.rate_limit)
    compressed = DefineMiddleware(CompressionMiddleware, config=CompressionConfig("gzip"))
    routes = [
        *routers(guard, upload_bytes_max=settings.uploads.upload_bytes_max),
        Router("/", route_handlers=[openapi_document], middleware=[compressed]),
        pages_router([guard, form_guard(parts.sessions)]),
    ]
    app = Litestar(
        route_handlers=[Router("/", route_handlers=routes)],
        middleware=[authentication(parts.authenticator, parts.rate_limit)],
        dependencies={name: Provide(_given(service)) for name, service in services.items()},
        request_class=ApiRequest,
        response_class=JsonResponse,
        exception_handlers={Exception: services["pages"].answer_error},
        plugins=[ErrorResponses()],
        lifespan=[_running(parts)],
        request_max_body_size=settings.body_bytes_max,
        openapi_config=openapi_config(),
        logging_config=None,
    )
    return RequestMiddleware(
        app,
        cors=_cors(settings.cors_origins),
        is_secure=settings.is_secure,
        drain=parts.notifications.end_waits,
    )


def _services(parts: Components, document: Document, settings: AppSettings) -> dict[str, Any]:
    """What handlers take by name: the components, and what the API and the pages build of them."""
    statics = Statics()
    flashes = Flashes(bytes.fromhex(settings.jwt_secret), is_secure=settings.is_secure)
    pages = Pages(parts.sessions, flashes, parts.accounts, statics, low_credits=settings.low_credits)
    facts = Facts(
        public_url=settings.public_url,
        speech=settings.speech,
        rates=settings.rate_limits,
        submission=settings.submission,
    )
    return vars(parts) | {
        "audio_access": AudioAccess(parts.audio_urls, parts.authenticator, parts.store),
        "context": parts.admin_context,
        "document": document,
        "facts": facts,
        "history": History(parts.database),
        "model_states": ModelStates(settings.models_state),
        "pages": pages,
        "playground": Playground(pages, parts.catalogs, parts.prices, parts.keys, facts),
        "reference": Reference(document.text),
        "responder": AudioResponder(parts.synchronous, parts.store),
        "speech_statuses": SpeechStatuses(parts.speech, parts.audio_urls),
        "statement": Statement(parts.database),
        "statics": statics,
        "upload_limits": settings.uploads,
        "usage_report": UsageReport(parts.database),
        "waveforms": WaveformCache(parts.store),
    }


def _given(value: object) -> Callable[[], Awaitable[object]]:
    async def give() -> object:
        return value

    return give


def _cors(listed: str) -> Cors | None:
    """The rules for scripts of these origins; None if there are none."""
    origins = [origin.strip() for origin in listed.split(",") if origin.strip()]
    return Cors(origins, exposed=EXPOSED) if origins else None


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
