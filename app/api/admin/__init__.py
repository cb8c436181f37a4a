"""The admin API under `/api/admin`: the operations of the command line, for administrators' credentials."""

from litestar.handlers import HTTPRouteHandler

from app.api.admin.context import AdminContext
from app.api.admin.credits import credit_routes
from app.api.admin.invites import invite_routes
from app.api.admin.keys import key_routes
from app.api.admin.operations import operation_routes
from app.api.admin.prices import price_routes
from app.api.admin.users import user_routes


def admin_routes(context: AdminContext, *, body_bytes_max: int) -> list[HTTPRouteHandler]:
    """Every route of the admin API."""
    return [
        *user_routes(context, body_bytes_max),
        *credit_routes(context, body_bytes_max),
        *price_routes(context, body_bytes_max),
        *invite_routes(context, body_bytes_max),
        *key_routes(context, body_bytes_max),
        *operation_routes(context, body_bytes_max),
    ]
