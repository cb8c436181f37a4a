"""The routes under /api/auth/password: passwords changed and reset."""

from typing import Literal

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.api.codevoice.account_schemas import login_view
from app.api.codevoice.schemas import LoginView
from app.domain.accounts.password_reset import PasswordReset
from app.domain.identity.scopes import ACCOUNT
from app.http.bodies import AnyRequest, read_json
from app.http.rate_limit import RateLimitGuard
from app.openapi.bodies import request_body

_NO_STORE = {"Cache-Control": "no-store"}
_PUBLIC = {"public": True, "limit": "login"}
_RESETS = {"public": True, "limit": "reset"}


class ChangeBody(Struct, frozen=True, kw_only=True):
    """POST /api/auth/password/change."""

    current_password: str
    new_password: str


class ResetBody(Struct, frozen=True, kw_only=True):
    """POST /api/auth/password/reset."""

    email: str


class ConfirmBody(Struct, frozen=True, kw_only=True):
    """POST /api/auth/password/reset/confirm. Without `keep_keys`, keys older than the verification of the
    e-mail address are revoked, and a new personal key is created.
    """

    token: str
    password: str
    keep_keys: bool = False


class ResetView(Struct, frozen=True, kw_only=True):
    """The response to POST /api/auth/password/reset: the same for every e-mail address."""

    status: Literal["accepted"] = "accepted"
    message: str = "If this e-mail has an account, a mail with a token is on its way."


_CHANGE = msgspec.json.Decoder(ChangeBody)
_RESET = msgspec.json.Decoder(ResetBody)
_CONFIRM = msgspec.json.Decoder(ConfirmBody)


def password_routes(
    resets: PasswordReset, rate_limit: RateLimitGuard, *, body_bytes_max: int
) -> list[HTTPRouteHandler]:
    """The routes that change a password, request a reset and confirm it."""
    return [
        _change_route(resets, rate_limit, body_bytes_max),
        _reset_route(resets, rate_limit, body_bytes_max),
        _confirm_route(resets, rate_limit, body_bytes_max),
    ]


def _change_route(resets: PasswordReset, rate_limit: RateLimitGuard, bytes_max: int) -> HTTPRouteHandler:
    opt = {"scope": ACCOUNT, "limit": "login"}

    @post("/api/auth/password/change", status_code=200, opt=opt, operation_class=request_body(ChangeBody))
    async def change_password(request: AnyRequest) -> Response[LoginView]:
        body = await read_json(request, _CHANGE, bytes_max=bytes_max)
        who = request.scope["user"]
        async with rate_limit.count_wrong_attempt(request.scope, str(who.account)):
            found = await resets.change(who, body.current_password, body.new_password)
        return Response(login_view(found), headers=_NO_STORE)

    return change_password


def _reset_route(resets: PasswordReset, rate_limit: RateLimitGuard, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/auth/password/reset", status_code=202, opt=_RESETS, operation_class=request_body(ResetBody))
    async def reset_password(request: AnyRequest) -> Response[ResetView]:
        body = await read_json(request, _RESET, bytes_max=bytes_max)
        await rate_limit.mail(request.scope, body.email)
        await resets.ask(body.email)
        return Response(ResetView(), headers=_NO_STORE)

    return reset_password


def _confirm_route(resets: PasswordReset, rate_limit: RateLimitGuard, bytes_max: int) -> HTTPRouteHandler:
    path = "/api/auth/password/reset/confirm"

    @post(path, status_code=200, opt=_PUBLIC, operation_class=request_body(ConfirmBody))
    async def confirm_reset(request: AnyRequest) -> Response[LoginView]:
        body = await read_json(request, _CONFIRM, bytes_max=bytes_max)
        async with rate_limit.count_wrong_attempt(request.scope):
            found = await resets.confirm(body.token, body.password, keep_keys=body.keep_keys)
        return Response(login_view(found), headers=_NO_STORE)

    return confirm_reset
