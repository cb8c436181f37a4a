"""Liveness and readiness checks: `GET /health/live` and `GET /health/ready`."""

from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from app.api.codevoice import schemas
from app.domain.health import Health
from app.http.json_response import JsonResponse


@get("/health/live", opt={"public": True, "stateless": True})
async def live() -> schemas.Health:
    """Answer as long as the process is alive."""
    return schemas.Health(status="ok")


@get(
    "/health/ready",
    opt={"public": True},
    responses={503: ResponseSpec(schemas.Health, description="Components are out of reach")},
)
async def ready(health: NamedDependency[Health]) -> JsonResponse[schemas.Health]:
    """Tell whether everything that requests need can be reached."""
    missing = await health.missing()
    if missing:
        view = schemas.Health(status="unavailable", missing=missing)
        return JsonResponse(view, status_code=503, headers={"Retry-After": "1"})
    return JsonResponse(schemas.Health(status="ok", missing=[]))
