"""The product's POST /v1/tts without its middleware, to measure what the middleware costs.

`python -m ops.bench.harness.bare`, in the API's own environment: no request id, limits, metrics or log; the
caller is looked up in a plain dict. Handler, hold, commit and server are the product's.
"""

import os
from collections.abc import Callable

import uvicorn
from litestar import Litestar
from litestar.di import Provide
from litestar.types import ASGIApp, Receive, Scope, Send

from app.api.codevoice.speech import queue_speech
from app.components import Components
from app.domain.identity.principals import Principal
from app.http.api_request import ApiRequest
from app.http.authentication import Credential
from app.http.json_response import JsonResponse
from app.settings import read_settings
from db.logging import configure
from db.settings import DbSettings, read


def main() -> None:
    """Serve until terminated."""
    settings = read_settings(os.environ)
    configure(settings.log_level)
    parts = Components(settings, read(DbSettings, os.environ))

    async def start() -> None:
        await parts.database.open(within_s=10)

    app = Litestar(
        route_handlers=[queue_speech],
        middleware=[_knowing(parts)],
        dependencies={"speech": Provide(lambda: parts.speech, sync_to_thread=False)},
        request_class=ApiRequest,
        response_class=JsonResponse,
        request_max_body_size=settings.body_bytes_max,
        on_startup=[start],
        openapi_config=None,
        logging_config=None,
    )
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
    )


def _knowing(parts: Components) -> Callable[[ASGIApp], ASGIApp]:
    known: dict[bytes, Principal] = {}

    def wrap(app: ASGIApp) -> ASGIApp:
        async def know(scope: Scope, receive: Receive, send: Send) -> None:
            key = next(value for name, value in scope["headers"] if name == b"x-api-key")
            who = known.get(key)
            if who is None:
                who = known[key] = await parts.authenticator.authenticate(Credential("key", key.decode()))
            scope["user"] = who
            await app(scope, receive, send)

        return know

    return wrap


if __name__ == "__main__":
    main()
