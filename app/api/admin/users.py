"""Admin API: accounts of people and of programs."""

import secrets
from typing import Annotated

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from app.api.admin.context import AdminContext, Operator, Reason, changes, operation_response
from app.api.fields import Email, Password, ReasonText
from app.domain.accounts.registration import check_password
from app.domain.admin import plans, users
from app.domain.admin.credits import micro
from app.domain.admin.reset_links import ResetLink, make_reset_link
from app.domain.admin.users import Changed, Opened, User
from app.domain.errors import Closed, EmailTaken
from app.domain.pagination import Page
from app.http.json_response import JsonResponse

_PASSWORD_BYTES = 12
_OPENED = "opened by an operator"


class UserBody(Struct, frozen=True, kw_only=True):
    """POST /api/admin/users. Without `password` one is generated and returned."""

    email: Email
    password: Password | None = None
    name: str | None = None
    admin: bool = False
    reason: ReasonText = _OPENED


class AccountBody(Struct, frozen=True, kw_only=True):
    """POST /api/admin/accounts: an account for a program. Amounts are in credits."""

    name: str
    email: Email | None = None
    monthly: int | float = 0
    extra: int | float = 0
    unlimited: bool = False
    reason: ReasonText = _OPENED


class UndoBody(Struct, frozen=True, kw_only=True):
    """The body of an operation that `undo` reverses."""

    reason: ReasonText
    undo: bool = False


class LimitBody(Struct, frozen=True, kw_only=True):
    """POST …/limit. `monthly`: the limit in credits; null: the plan's limit."""

    reason: ReasonText
    monthly: int | float | None


class PlanBody(Struct, frozen=True, kw_only=True):
    """POST …/plan: the plan by name or tier."""

    reason: ReasonText
    plan: Annotated[str, Meta(examples=["free"])]


class UsersController(Controller):
    """Accounts of people and of programs: listed, shown, created, and what they may use."""

    @get("/users")
    async def list_users(
        self,
        context: NamedDependency[AdminContext],
        type: FromQuery[str | None] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[User]:
        """List the accounts."""
        async with context.moment() as session:
            return await users.list_users(session, user_type=type, limit=limit, cursor=cursor)

    @get("/users/{account:str}")
    async def show_user(self, account: FromPath[str], context: NamedDependency[AdminContext]) -> User:
        """Show an account, by e-mail or id."""
        async with context.moment() as session:
            return await users.show_user(session, account)

    @post("/users", opt=changes(EmailTaken))
    async def create_user(
        self,
        data: JSONBody[UserBody],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[Opened]:
        """Create the account of a person."""
        operation = operator.operation(data.reason)
        password = secrets.token_urlsafe(_PASSWORD_BYTES) if data.password is None else data.password
        check_password(password)
        password_hash = await context.passwords.hash(password)
        async with context.session() as session:
            opened = await users.create_user(
                session,
                operation,
                context.keys,
                email=data.email,
                password_hash=password_hash,
                name=data.name,
                admin=data.admin,
                keep_sealed=context.keep_sealed,
            )
        is_to_show = opened.code == "created" and data.password is None
        return operation_response(
            msgspec.structs.replace(opened, password=password) if is_to_show else opened
        )

    @post("/accounts", opt=changes(EmailTaken))
    async def create_api_only(
        self,
        data: JSONBody[AccountBody],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[Opened]:
        """Create the account of a program."""
        async with context.session() as session:
            opened = await users.create_api_only(
                session,
                operator.operation(data.reason),
                context.keys,
                name=data.name,
                email=data.email,
                monthly=micro(data.monthly, field="monthly", zero=True),
                extra=micro(data.extra, field="extra", zero=True),
                unlimited=data.unlimited,
                keep_sealed=context.keep_sealed,
            )
        return operation_response(opened)

    @post("/users/{account:str}/suspend", status_code=200, opt=changes())
    async def suspend(
        self,
        data: JSONBody[UndoBody],
        account: FromPath[str],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[Changed]:
        """Suspend an account, or end that."""
        async with context.session() as session:
            operation = operator.operation(data.reason)
            return operation_response(await users.suspend(session, operation, account, undo=data.undo))

    @post("/users/{account:str}/plan", status_code=200, opt=changes(Closed))
    async def set_plan(
        self,
        data: JSONBody[PlanBody],
        account: FromPath[str],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[Changed]:
        """Move an account to another plan."""
        async with context.session() as session:
            operation = operator.operation(data.reason)
            return operation_response(await plans.set_plan(session, operation, account, data.plan))

    @post("/accounts/{account:str}/limit", status_code=200, opt=changes(Closed))
    async def set_limit(
        self,
        data: JSONBody[LimitBody],
        account: FromPath[str],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[Changed]:
        """Set an account's monthly credits."""
        monthly = None if data.monthly is None else micro(data.monthly, field="monthly", zero=True)
        async with context.session() as session:
            operation = operator.operation(data.reason)
            return operation_response(await plans.set_limit(session, operation, account, monthly))

    @post("/accounts/{account:str}/unlimited", status_code=200, opt=changes(Closed))
    async def set_unlimited(
        self,
        data: JSONBody[UndoBody],
        account: FromPath[str],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[Changed]:
        """Let an account spend without limit, or end that."""
        async with context.session() as session:
            operation = operator.operation(data.reason)
            return operation_response(await plans.set_unlimited(session, operation, account, undo=data.undo))

    @post("/accounts/{account:str}/close", status_code=200, opt=changes(Closed))
    async def close(
        self,
        data: JSONBody[Reason],
        account: FromPath[str],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[Changed]:
        """Close an account."""
        async with context.session() as session:
            return operation_response(await plans.close(session, operator.operation(data.reason), account))

    @post("/users/{account:str}/reset-link", opt=changes())
    async def create_reset_link(
        self,
        data: JSONBody[Reason],
        account: FromPath[str],
        operator: NamedDependency[Operator],
        context: NamedDependency[AdminContext],
    ) -> JsonResponse[ResetLink]:
        """Make a link that sets a new password."""
        operation = operator.operation(data.reason)
        async with context.session() as session:
            made = await make_reset_link(
                session, operation, context.keys, account, public_url=context.public_url
            )
        return operation_response(made)
