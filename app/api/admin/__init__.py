"""Row 34, under `/api/admin`: what the command line does, for administrators' credentials."""

from litestar.handlers import HTTPRouteHandler

from app.api.admin.desk import AdminContext
from app.api.admin.invites import invite_routes
from app.api.admin.keys import key_routes
from app.api.admin.money import money_routes
from app.api.admin.prices import price_routes
from app.api.admin.record import record_routes
from app.api.admin.users import user_routes


def admin_routes(desk: AdminContext, *, body_bytes_max: int) -> list[HTTPRouteHandler]:
    """Every route of operators."""
    return [
        *user_routes(desk, body_bytes_max),
        *money_routes(desk, body_bytes_max),
        *price_routes(desk, body_bytes_max),
        *invite_routes(desk, body_bytes_max),
        *key_routes(desk, body_bytes_max),
        *record_routes(desk, body_bytes_max),
    ]
