"""Sign up, log in, renew, log out, and who am I."""

from typing import TypeVar

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET

from app.api.bodies import AnyRequest, read_json
from app.api.openapi import takes
from app.api.wire import (
    ApiCredits,
    Credits,
    FreeCredits,
    LoginBody,
    LoginView,
    MeView,
    PaidCredits,
    RefreshBody,
    RegisterBody,
    UserView,
)
from app.domain.accounts import Accounts, LoggedIn, User
from app.domain.credits import credits, spendable
from db.rows import Balance

T = TypeVar("T")
_REGISTER = msgspec.json.Decoder(RegisterBody)
_LOGIN = msgspec.json.Decoder(LoginBody)
_REFRESH = msgspec.json.Decoder(RefreshBody)
_NO_STORE = {"Cache-Control": "no-store"}
_PUBLIC = {"public": True}
ACCOUNT = "account"  # the scope of a key that may look at its account


def auth_routes(accounts: Accounts, *, body_bytes_max: int) -> list[HTTPRouteHandler]:
    """Rows 9 to 11."""
    return [
        _register_route(accounts, body_bytes_max),
        _login_route(accounts, body_bytes_max),
        _refresh_route(accounts, body_bytes_max),
        _logout_route(accounts),
        _me_route(accounts),
    ]


def _register_route(accounts: Accounts, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/auth/register", opt=_PUBLIC, operation_class=takes(RegisterBody))
    async def register(request: AnyRequest) -> Response[LoginView]:
        body = await read_json(request, _REGISTER, bytes_max=bytes_max)
        return _fresh(await accounts.register(body.email, body.password, body.name))

    return register


def _login_route(accounts: Accounts, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/auth/login", status_code=200, opt=_PUBLIC, operation_class=takes(LoginBody))
    async def login(request: AnyRequest) -> Response[LoginView]:
        body = await read_json(request, _LOGIN, bytes_max=bytes_max)
        return _fresh(await accounts.login(body.email, body.password))

    return login


def _refresh_route(accounts: Accounts, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/auth/refresh", status_code=200, opt=_PUBLIC, operation_class=takes(RefreshBody))
    async def refresh(request: AnyRequest) -> Response[LoginView]:
        body = await read_json(request, _REFRESH, bytes_max=bytes_max)
        return _fresh(await accounts.refresh(body.refresh_token))

    return refresh


def _logout_route(accounts: Accounts) -> HTTPRouteHandler:
    @post("/api/auth/logout", status_code=204, opt={"scope": ACCOUNT})
    async def logout(request: AnyRequest) -> None:
        await accounts.logout(request.scope["user"])

    return logout


def _me_route(accounts: Accounts) -> HTTPRouteHandler:
    @get("/api/auth/me", opt={"scope": ACCOUNT})
    async def me(request: AnyRequest) -> Response[MeView]:
        user, balance = await accounts.me(request.scope["user"])
        return Response(MeView(user=_user(user), credits=_credits(balance)), headers=_NO_STORE)

    return me


def _fresh(found: LoggedIn) -> Response[LoginView]:
    view = LoginView(
        token=found.token,
        expires_in=found.expires_in_s,
        refresh_token=found.refresh_token,
        api_key=found.api_key,
        user=_user(found.user),
    )
    return Response(view, headers=_NO_STORE)


def _user(user: User) -> UserView:
    return msgspec.convert(user, UserView, from_attributes=True)


def _credits(balance: Balance) -> Credits:
    """An API-only account's monthly and extra credits are shown as such, and not twice."""
    is_api_only = balance.kind == "api_only"
    free, paid, monthly = credits(balance.free), credits(balance.paid), credits(balance.monthly)
    total = spendable(balance)
    api = ApiCredits(limit=monthly, remaining=free, extra=paid, unlimited=balance.unlimited)
    return Credits(
        free=FreeCredits(
            limit=0 if is_api_only else monthly,
            remaining=0 if is_api_only else free,
            resets_at=balance.resets_at,
        ),
        paid=PaidCredits(remaining=0 if is_api_only else paid),
        api=api if is_api_only else UNSET,
        held=credits(balance.held),
        total_remaining=None if total is None else credits(total),
    )
