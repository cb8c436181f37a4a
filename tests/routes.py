"""Every route of the API server, as it is registered; nothing is connected."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

from litestar import Litestar
from litestar.routes import HTTPRoute
from msgspec import Struct

from app.application import create_app
from app.settings import read_settings
from db.settings import DbSettings

_SECRET = "0" * 64


class RegisteredRoute(Struct, frozen=True, kw_only=True):
    """One method of one path, such as `/tts/status/{job_id:str}`."""

    method: str
    path: str
    opt: Mapping[str, Any]
    is_documented: bool


@lru_cache(maxsize=1)
def every_route() -> list[RegisteredRoute]:
    """All routes but the framework's own OPTIONS and OpenAPI ones, in the same order in every process."""
    found = [
        RegisteredRoute(
            method=method,
            path=route.path,
            opt=handler.opt,
            is_documented=bool(handler.resolve_include_in_schema()),
        )
        for route in application().routes
        if isinstance(route, HTTPRoute)
        and not route.path.startswith("/openapi/")
        and route.path != "/openapi"
        for method, (handler, _) in sorted(route.route_handler_map.items())
        if method != "OPTIONS"
    ]
    return sorted(found, key=lambda route: (route.path, route.method))


def application() -> Litestar:
    """The application inside the request middleware."""
    names = ("KEY_PEPPER", "KEY_ENCRYPTION_KEY", "JWT_SECRET", "URL_SECRET")
    settings = read_settings({f"CODEVOICE_{name}": _SECRET for name in names})
    nowhere = DbSettings(database_url="postgresql://", redis_url="redis://", objects="file:///nowhere")
    return cast("Litestar", create_app(settings, nowhere)._app)
