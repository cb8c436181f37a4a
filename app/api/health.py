"""Liveness and readiness checks: `GET /health/live` and `GET /health/ready`."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from app.api.codevoice import schemas
from app.domain.health import Health
from app.http.json_response import JsonResponse


def health_routes(health: Health) -> list[HTTPRouteHandler]:
    """The liveness and readiness routes."""
    return [_live_route(), _ready_route(health)]


def _live_route() -> HTTPRouteHandler:
    @get("/health/live", opt={"public": True})
    async def live() -> JsonResponse[schemas.Health]:
        return JsonResponse(schemas.Health(status="ok"))

    return live


def _ready_route(health: Health) -> HTTPRouteHandler:
    @get("/health/ready", opt={"public": True})
    async def ready() -> Response[schemas.Health]:
        missing = await health.missing()
        if missing:
            view = schemas.Health(status="unavailable", missing=missing)
            return Response(view, status_code=503, headers={"Retry-After": "1"})
        return Response(schemas.Health(status="ok", missing=[]))

    return ready
