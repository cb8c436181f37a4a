"""The routes under /api/auth that register, log in, refresh tokens, log out and show the account."""

from typing import TypeVar

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.api.codevoice.account_schemas import credits_view, login_view, storage_view, user_view
from app.api.codevoice.schemas import LoginBody, LoginView, MeView, RefreshBody, RegisterBody
from app.domain.accounts.service import Accounts, LoggedIn
from app.domain.identity.scopes import ACCOUNT
from app.domain.storage_quotas import StorageQuotas
from app.http.bodies import AnyRequest, read_json
from app.http.rate_limit import RateLimitGuard
from app.openapi.bodies import request_body

T = TypeVar("T")
_REGISTER = msgspec.json.Decoder(RegisterBody)
_LOGIN = msgspec.json.Decoder(LoginBody)
_REFRESH = msgspec.json.Decoder(RefreshBody)
_NO_STORE = {"Cache-Control": "no-store"}


def auth_routes(
    accounts: Accounts, rate_limit: RateLimitGuard, storage: StorageQuotas, *, body_bytes_max: int
) -> list[HTTPRouteHandler]:
    """The routes to register, log in, refresh and log out, and `GET /api/auth/me`."""
    return [
        _register_route(accounts, body_bytes_max),
        _login_route(accounts, rate_limit, body_bytes_max),
        _refresh_route(accounts, rate_limit, body_bytes_max),
        _logout_route(accounts),
        _logout_everywhere_route(accounts),
        _me_route(accounts, storage),
    ]


def _register_route(accounts: Accounts, bytes_max: int) -> HTTPRouteHandler:
    opt = {"public": True, "limit": "register"}

    @post("/api/auth/register", opt=opt, operation_class=request_body(RegisterBody))
    async def register(request: AnyRequest) -> Response[LoginView]:
        body = await read_json(request, _REGISTER, bytes_max=bytes_max)
        return _login_response(await accounts.register(body.email, body.password, body.name, body.invite))

    return register


def _login_route(accounts: Accounts, rate_limit: RateLimitGuard, bytes_max: int) -> HTTPRouteHandler:
    opt = {"public": True, "limit": "login"}

    @post("/api/auth/login", status_code=200, opt=opt, operation_class=request_body(LoginBody))
    async def login(request: AnyRequest) -> Response[LoginView]:
        body = await read_json(request, _LOGIN, bytes_max=bytes_max)
        async with rate_limit.count_wrong_attempt(request.scope, body.email):
            return _login_response(await accounts.login(body.email, body.password))

    return login


def _refresh_route(accounts: Accounts, rate_limit: RateLimitGuard, bytes_max: int) -> HTTPRouteHandler:
    opt = {"public": True, "limit": "login"}

    @post("/api/auth/refresh", status_code=200, opt=opt, operation_class=request_body(RefreshBody))
    async def refresh(request: AnyRequest) -> Response[LoginView]:
        body = await read_json(request, _REFRESH, bytes_max=bytes_max)
        async with rate_limit.count_wrong_attempt(request.scope):
            return _login_response(await accounts.refresh(body.refresh_token))

    return refresh


def _logout_route(accounts: Accounts) -> HTTPRouteHandler:
    @post("/api/auth/logout", status_code=204, opt={"scope": ACCOUNT, "limit": "post"})
    async def logout(request: AnyRequest) -> None:
        await accounts.logout(request.scope["user"])

    return logout


def _logout_everywhere_route(accounts: Accounts) -> HTTPRouteHandler:
    @post("/api/auth/logout/everywhere", status_code=204, opt={"scope": ACCOUNT, "limit": "post"})
    async def logout_everywhere(request: AnyRequest) -> None:
        await accounts.logout_everywhere(request.scope["user"])

    return logout_everywhere


def _me_route(accounts: Accounts, storage: StorageQuotas) -> HTTPRouteHandler:
    @get("/api/auth/me", opt={"scope": ACCOUNT})
    async def me(request: AnyRequest) -> Response[MeView]:
        who = request.scope["user"]
        user, balance = await accounts.me(who)
        kept = storage_view(await storage.stored(who))
        view = MeView(user=user_view(user), credits=credits_view(balance), storage=kept)
        return Response(view, headers=_NO_STORE)

    return me


def _login_response(found: LoggedIn) -> Response[LoginView]:
    return Response(login_view(found), headers=_NO_STORE)
