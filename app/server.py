"""Builds the front door: every part once, passed to whoever needs it. Nothing happens at import."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple, cast

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from app.api.audio import audio_route
from app.api.auth import auth_routes
from app.api.codevoice import cancel_route, status_route, submit_route, voices_route
from app.api.fallback import answer_error
from app.api.health import health_routes
from app.api.openapi import document_route
from app.auth import Authenticator, middleware
from app.domain.accounts import Accounts
from app.domain.audio import AudioAddresses, AudioRules
from app.domain.catalog import Catalogs
from app.domain.health import Health
from app.domain.keys import KeyRing
from app.domain.nudger import Nudger
from app.domain.passwords import Passwords, argon2id
from app.domain.principals import Principals
from app.domain.record import Record
from app.domain.speech import Speech, SpeechLimits
from app.domain.tokens import Tokens
from app.envelope import Envelope
from app.settings import AppSettings
from db.objects import Objects, open_store
from db.settings import DbSettings

_OPEN_S = 2.0  # Postgres is given so long at start; then we serve without


class Parts(NamedTuple):
    """What lives as long as the server."""

    record: Record
    nudger: Nudger
    catalogs: Catalogs
    store: Objects
    passwords: Passwords
    authenticator: Authenticator
    accounts: Accounts
    speech: Speech
    addresses: AudioAddresses
    health: Health


def create_app(settings: AppSettings, db: DbSettings) -> Envelope:
    """The ASGI application. Raises StoreError where the store's URL makes no sense."""
    parts = build(settings, db)
    routes = _routes(parts, body_bytes_max=settings.body_bytes_max)
    app = Litestar(
        route_handlers=[*routes, document_route(routes)],
        middleware=[middleware(parts.authenticator)],
        exception_handlers={Exception: answer_error},
        lifespan=[_running(parts)],
        request_max_body_size=settings.body_bytes_max,
        openapi_config=None,
        logging_config=None,
    )
    return Envelope(app)


def build(settings: AppSettings, db: DbSettings) -> Parts:
    """Every part, not started yet."""
    record = Record(
        db.database_url,
        connections_max=db.pool_connections,
        statement_timeout_ms=db.statement_timeout_ms,
        wait_s=settings.database_wait_s,
        waiting_max=settings.database_waiting_max,
    )
    keys = KeyRing(
        pepper=bytes.fromhex(settings.key_pepper), encryption_key=bytes.fromhex(settings.key_encryption_key)
    )
    tokens = Tokens(
        bytes.fromhex(settings.jwt_secret),
        token_s=settings.token_s,
        refresh_token_s=settings.refresh_token_s,
    )
    passwords = Passwords(
        argon2id(), threads=settings.password_threads, waiting_max=settings.password_waiting_max
    )
    principals = Principals(record, keys, tokens, remember_s=settings.principal_cache_s)
    catalogs, nudger, store = Catalogs(record), Nudger(db.redis_url), open_store(db.objects)
    return Parts(
        record=record,
        nudger=nudger,
        catalogs=catalogs,
        store=store,
        passwords=passwords,
        authenticator=Authenticator(principals),
        accounts=Accounts(
            record,
            keys,
            passwords,
            tokens,
            principals,
            registration=settings.registration,
            reveal=settings.reveal,
        ),
        speech=Speech(record, catalogs, nudger, _speech_limits(settings)),
        addresses=AudioAddresses(bytes.fromhex(settings.url_secret), _audio_rules(settings)),
        health=Health(record, store, redis_url=db.redis_url),
    )


def _speech_limits(settings: AppSettings) -> SpeechLimits:
    return SpeechLimits(
        text_characters_max=settings.text_characters_max,
        jobs_waiting_max=settings.jobs_waiting_max,
        queue_wait_s=settings.queue_wait_s,
        price_micro=settings.price_micro,
    )


def _audio_rules(settings: AppSettings) -> AudioRules:
    return AudioRules(
        url_s=settings.audio_url_s,
        bare_hours=settings.bare_audio_hours,
        require_owner=settings.require_owner,
    )


def handlers() -> list[HTTPRouteHandler]:
    """Every route, not to be called: for whoever wants to know which there are."""
    nothing = cast("Parts", Parts(*[None] * len(Parts._fields)))  # type: ignore[arg-type]
    return _routes(nothing, body_bytes_max=0)


def _routes(parts: Parts, *, body_bytes_max: int) -> list[HTTPRouteHandler]:
    size = body_bytes_max
    return [
        submit_route(parts.speech, parts.authenticator, body_bytes_max=size),
        status_route(parts.speech, parts.addresses),
        audio_route(parts.speech, parts.addresses, parts.authenticator, parts.store),
        cancel_route(parts.speech),
        voices_route(parts.catalogs),
        *auth_routes(parts.accounts, body_bytes_max=size),
        *health_routes(parts.health),
    ]


def _running(parts: Parts) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def running(_app: Litestar) -> AsyncGenerator[None]:
        await parts.record.open(within_s=_OPEN_S)
        try:
            yield
        finally:
            parts.nudger.close()
            parts.passwords.close()
            await parts.record.close()

    return running
