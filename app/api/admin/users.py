"""Admin API: accounts of people and of programs."""

import secrets

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from app.api.admin.context import (
    POST,
    READ,
    AdminContext,
    Reason,
    json_response,
    operation_of,
    operation_response,
)
from app.domain.accounts.registration import check_password
from app.domain.admin import plans, users
from app.domain.admin.credits import micro
from app.domain.admin.reset_links import ResetLink, make_reset_link
from app.domain.admin.users import Changed, Opened, User
from app.domain.pagination import Page
from app.http.bodies import AnyRequest, read_json
from app.openapi.bodies import request_body

_PASSWORD_BYTES = 12
_OPENED = "opened by an operator"


class UserBody(Struct, frozen=True, kw_only=True):
    """POST /api/admin/users. Without `password` one is generated and returned."""

    email: str
    password: str | None = None
    name: str | None = None
    admin: bool = False
    reason: str = _OPENED


class AccountBody(Struct, frozen=True, kw_only=True):
    """POST /api/admin/accounts: an account for a program. Amounts are in credits."""

    name: str
    email: str | None = None
    monthly: int | float = 0
    extra: int | float = 0
    unlimited: bool = False
    reason: str = _OPENED


class UndoBody(Struct, frozen=True, kw_only=True):
    """The body of an operation that `undo` reverses."""

    reason: str
    undo: bool = False


class LimitBody(Struct, frozen=True, kw_only=True):
    """POST …/limit. `monthly`: the limit in credits; null: the plan's limit."""

    reason: str
    monthly: int | float | None


class PlanBody(Struct, frozen=True, kw_only=True):
    """POST …/plan: the plan by name or tier."""

    reason: str
    plan: str


_USER = msgspec.json.Decoder(UserBody)
_ACCOUNT = msgspec.json.Decoder(AccountBody)
_UNDO = msgspec.json.Decoder(UndoBody)
_LIMIT = msgspec.json.Decoder(LimitBody)
_PLAN = msgspec.json.Decoder(PlanBody)
_REASON = msgspec.json.Decoder(Reason)


def user_routes(context: AdminContext, bytes_max: int) -> list[HTTPRouteHandler]:
    """The routes that list, show and create accounts, and set what they may use."""
    return [
        _list_route(context),
        _show_route(context),
        _create_route(context, bytes_max),
        _create_api_only_route(context, bytes_max),
        _suspend_route(context, bytes_max),
        _plan_route(context, bytes_max),
        _limit_route(context, bytes_max),
        _unlimited_route(context, bytes_max),
        _close_route(context, bytes_max),
        _reset_link_route(context, bytes_max),
    ]


def _list_route(context: AdminContext) -> HTTPRouteHandler:
    @get("/api/admin/users", opt=READ)
    async def list_users(
        type: FromQuery[str | None] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Response[Page[User]]:
        async with context.moment() as connection:
            return json_response(
                await users.list_users(connection, user_type=type, limit=limit, cursor=cursor)
            )

    return list_users


def _show_route(context: AdminContext) -> HTTPRouteHandler:
    @get("/api/admin/users/{account:str}", opt=READ)
    async def show_user(account: FromPath[str]) -> Response[User]:
        async with context.moment() as connection:
            return json_response(await users.show_user(connection, account))

    return show_user


def _create_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/admin/users", opt=POST, operation_class=request_body(UserBody))
    async def create_user(request: AnyRequest) -> Response[Opened]:
        body = await read_json(request, _USER, bytes_max=bytes_max)
        operation = operation_of(request, body.reason)
        password = secrets.token_urlsafe(_PASSWORD_BYTES) if body.password is None else body.password
        check_password(password)
        password_hash = await context.passwords.hash(password)
        async with context.session() as session:
            opened = await users.create_user(
                session,
                operation,
                context.keys,
                email=body.email,
                password_hash=password_hash,
                name=body.name,
                admin=body.admin,
                keep_sealed=context.keep_sealed,
            )
        is_to_show = opened.code == "created" and body.password is None
        return operation_response(
            msgspec.structs.replace(opened, password=password) if is_to_show else opened, 201
        )

    return create_user


def _create_api_only_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post("/api/admin/accounts", opt=POST, operation_class=request_body(AccountBody))
    async def create_api_only(request: AnyRequest) -> Response[Opened]:
        body = await read_json(request, _ACCOUNT, bytes_max=bytes_max)
        async with context.session() as session:
            opened = await users.create_api_only(
                session,
                operation_of(request, body.reason),
                context.keys,
                name=body.name,
                email=body.email,
                monthly=micro(body.monthly, field="monthly", zero=True),
                extra=micro(body.extra, field="extra", zero=True),
                unlimited=body.unlimited,
                keep_sealed=context.keep_sealed,
            )
        return operation_response(opened, 201)

    return create_api_only


def _suspend_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post(
        "/api/admin/users/{account:str}/suspend",
        status_code=200,
        opt=POST,
        operation_class=request_body(UndoBody),
    )
    async def suspend(request: AnyRequest, account: FromPath[str]) -> Response[Changed]:
        body = await read_json(request, _UNDO, bytes_max=bytes_max)
        async with context.session() as session:
            done = await users.suspend(session, operation_of(request, body.reason), account, undo=body.undo)
        return operation_response(done)

    return suspend


def _plan_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post(
        "/api/admin/users/{account:str}/plan",
        status_code=200,
        opt=POST,
        operation_class=request_body(PlanBody),
    )
    async def set_plan(request: AnyRequest, account: FromPath[str]) -> Response[Changed]:
        body = await read_json(request, _PLAN, bytes_max=bytes_max)
        async with context.connection() as connection:
            done = await plans.set_plan(connection, operation_of(request, body.reason), account, body.plan)
        return operation_response(done)

    return set_plan


def _limit_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post(
        "/api/admin/accounts/{account:str}/limit",
        status_code=200,
        opt=POST,
        operation_class=request_body(LimitBody),
    )
    async def set_limit(request: AnyRequest, account: FromPath[str]) -> Response[Changed]:
        body = await read_json(request, _LIMIT, bytes_max=bytes_max)
        monthly = None if body.monthly is None else micro(body.monthly, field="monthly", zero=True)
        async with context.connection() as connection:
            done = await plans.set_limit(connection, operation_of(request, body.reason), account, monthly)
        return operation_response(done)

    return set_limit


def _unlimited_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post(
        "/api/admin/accounts/{account:str}/unlimited",
        status_code=200,
        opt=POST,
        operation_class=request_body(UndoBody),
    )
    async def set_unlimited(request: AnyRequest, account: FromPath[str]) -> Response[Changed]:
        body = await read_json(request, _UNDO, bytes_max=bytes_max)
        async with context.connection() as connection:
            operation = operation_of(request, body.reason)
            done = await plans.set_unlimited(connection, operation, account, undo=body.undo)
        return operation_response(done)

    return set_unlimited


def _close_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    @post(
        "/api/admin/accounts/{account:str}/close",
        status_code=200,
        opt=POST,
        operation_class=request_body(Reason),
    )
    async def close(request: AnyRequest, account: FromPath[str]) -> Response[Changed]:
        body = await read_json(request, _REASON, bytes_max=bytes_max)
        async with context.connection() as connection:
            done = await plans.close(connection, operation_of(request, body.reason), account)
        return operation_response(done)

    return close


def _reset_link_route(context: AdminContext, bytes_max: int) -> HTTPRouteHandler:
    path = "/api/admin/users/{account:str}/reset-link"

    @post(path, opt=POST, operation_class=request_body(Reason))
    async def create_reset_link(request: AnyRequest, account: FromPath[str]) -> Response[ResetLink]:
        body = await read_json(request, _REASON, bytes_max=bytes_max)
        operation = operation_of(request, body.reason)
        async with context.connection() as connection:
            made = await make_reset_link(
                connection, operation, context.keys, account, public_url=context.public_url
            )
        return operation_response(made, 201)

    return create_reset_link
