"""The admin API under `/api/admin`: the operations of the command line, for administrators' credentials."""

from litestar import Router
from litestar.di import Provide

from app.api.admin.context import operator
from app.api.admin.credits import CreditsController
from app.api.admin.invites import InvitesController
from app.api.admin.keys import AccountKeysController
from app.api.admin.operations import OperationsController
from app.api.admin.prices import PricesController
from app.api.admin.users import UsersController
from app.domain.identity.scopes import ADMIN
from app.http.json_response import NO_STORE


def admin_router() -> Router:
    """Every route of the admin API."""
    return Router(
        "/api/admin",
        route_handlers=[
            UsersController,
            CreditsController,
            PricesController,
            InvitesController,
            AccountKeysController,
            OperationsController,
        ],
        dependencies={"operator": Provide(operator)},
        opt={"scope": ADMIN},
        response_headers=NO_STORE,
    )
