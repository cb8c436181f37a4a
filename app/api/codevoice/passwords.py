"""The routes under /api/auth/password: passwords changed and reset."""

from typing import Literal

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from app.api.codevoice.account_schemas import login_view
from app.api.codevoice.schemas import LoginView
from app.api.fields import Email, Password
from app.domain import errors as e
from app.domain.accounts.password_reset import PasswordReset
from app.domain.identity.scopes import ACCOUNT
from app.http.api_request import ApiRequest
from app.http.json_response import NO_STORE
from app.http.rate_limit import RateLimitGuard


class ChangeBody(Struct, frozen=True, kw_only=True):
    """POST /api/auth/password/change."""

    current_password: str
    new_password: Password


class ResetBody(Struct, frozen=True, kw_only=True):
    """POST /api/auth/password/reset."""

    email: Email


class ConfirmBody(Struct, frozen=True, kw_only=True):
    """POST /api/auth/password/reset/confirm. Without `keep_keys`, keys older than the verification of the
    e-mail address are revoked, and a new personal key is created.
    """

    token: str
    password: Password
    keep_keys: bool = False


class ResetView(Struct, frozen=True, kw_only=True):
    """The response to POST /api/auth/password/reset: the same for every e-mail address."""

    status: Literal["accepted"] = "accepted"
    message: str = "If this e-mail has an account, a mail with a token is on its way."


class PasswordController(Controller):
    """Passwords changed by their owner, and reset by mail."""

    path = "/api/auth/password"
    response_headers = NO_STORE

    @post("/change", status_code=200, opt={"scope": ACCOUNT, "limit": "login", "errors": (e.WrongLogin,)})
    async def change_password(
        self,
        data: JSONBody[ChangeBody],
        request: ApiRequest,
        resets: NamedDependency[PasswordReset],
        rate_limit: NamedDependency[RateLimitGuard],
    ) -> LoginView:
        """Change the password; every earlier log-in ends."""
        who = request.user
        async with rate_limit.count_wrong_attempt(request.scope, str(who.account)):
            return login_view(await resets.change(who, data.current_password, data.new_password))

    @post("/reset", status_code=202, opt={"public": True, "limit": "reset", "errors": (e.MailNotSetUp,)})
    async def reset_password(
        self,
        data: JSONBody[ResetBody],
        request: ApiRequest,
        resets: NamedDependency[PasswordReset],
        rate_limit: NamedDependency[RateLimitGuard],
    ) -> ResetView:
        """Mail a token that sets a new password."""
        await rate_limit.mail(request.scope, data.email)
        await resets.ask(data.email)
        return ResetView()

    @post(
        "/reset/confirm",
        status_code=200,
        opt={"public": True, "limit": "login", "errors": (e.InvalidReset, e.Suspended)},
    )
    async def confirm_reset(
        self,
        data: JSONBody[ConfirmBody],
        request: ApiRequest,
        resets: NamedDependency[PasswordReset],
        rate_limit: NamedDependency[RateLimitGuard],
    ) -> LoginView:
        """Set a new password with a mailed token, and log in."""
        async with rate_limit.count_wrong_attempt(request.scope):
            return login_view(await resets.confirm(data.token, data.password, keep_keys=data.keep_keys))
