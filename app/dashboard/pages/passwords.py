"""The pages to reset a forgotten password, change a password, and verify an e-mail address."""

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from msgspec import Struct

from app.dashboard.forms import read_form
from app.dashboard.pages.log_in import NoForm, Page
from app.dashboard.rendering import ANYBODY, PERSON, Pages
from app.domain.accounts.email_verification import EmailVerification
from app.domain.accounts.password_reset import PasswordReset
from app.domain.errors import DomainError
from app.http.api_request import ApiRequest
from app.http.rate_limit import RateLimitGuard

_LOGIN = ANYBODY | {"limit": "login"}
_RESET = "Your new password is set. You are logged out everywhere else."
_KEYS_REVOKED = "Your older API keys are revoked; your new one is under API & Credits."
_CHANGED = "Your password is changed. You are logged out everywhere else; API keys keep working."
_MAIL_SENT = "If this e-mail has an account, a mail with a link is on its way. It is good for an hour."
_VERIFIED = "Your e-mail address is verified. Your free credits are there."
_VERIFICATION_SENT = "The mail is on its way. Its link is good for a week."


class ResetForm(Struct, frozen=True, kw_only=True):
    email: str = ""


class ConfirmForm(Struct, frozen=True, kw_only=True):
    token: str = ""
    password: str = ""
    keep_keys: bool = False


class PasswordForm(Struct, frozen=True, kw_only=True):
    current_password: str = ""
    new_password: str = ""


class VerifyForm(Struct, frozen=True, kw_only=True):
    token: str = ""


def password_page_routes(
    pages: Pages, resets: PasswordReset, rate_limit: RateLimitGuard
) -> list[HTTPRouteHandler]:
    """The routes to request a reset, choose a new password, and change a password."""
    return [
        *_reset_routes(pages, resets, rate_limit),
        *_confirm_routes(pages, resets, rate_limit),
        *_password_routes(pages, resets, rate_limit),
    ]


def verification_page_routes(
    pages: Pages, verification: EmailVerification, rate_limit: RateLimitGuard
) -> list[HTTPRouteHandler]:
    """The routes of e-mail verification. Only the page's button verifies: mail programs follow links."""

    @get("/verify", opt=ANYBODY, include_in_schema=False)
    async def verify_page(request: ApiRequest, token: FromQuery[str] = "") -> Page:
        return await pages.show(request, "verify.html", form=VerifyForm(token=token))

    @post("/verify", opt=_LOGIN, include_in_schema=False)
    async def verify(request: ApiRequest) -> Page:
        form = await read_form(request, VerifyForm, pages.sessions)
        try:
            async with rate_limit.count_wrong_attempt(request.scope):
                await verification.confirm(form.token)
        except DomainError as refused:
            return await pages.show(request, "verify.html", notice=refused, form=form)
        return pages.go(request, "/" if request.scope["user"] else "/login", _VERIFIED)

    return [verify_page, verify, _resend_route(pages, verification, rate_limit)]


def _resend_route(
    pages: Pages, verification: EmailVerification, rate_limit: RateLimitGuard
) -> HTTPRouteHandler:
    opt = PERSON | {"limit": "reset", "back": "/"}

    @post("/verify/resend", opt=opt, include_in_schema=False)
    async def resend(request: ApiRequest) -> Page:
        await read_form(request, NoForm, pages.sessions)
        who = request.scope["user"]
        await rate_limit.mail(request.scope, str(who.account))
        await verification.send_again(who)
        return pages.go(request, "/", _VERIFICATION_SENT)

    return resend


def _reset_routes(pages: Pages, resets: PasswordReset, rate_limit: RateLimitGuard) -> list[HTTPRouteHandler]:
    async def show(request: ApiRequest, form: ResetForm, notice: DomainError | None = None) -> Page:
        return await pages.show(request, "reset.html", notice=notice, form=form, can_send=resets.can_send)

    @get("/reset", opt=ANYBODY, include_in_schema=False)
    async def reset_page(request: ApiRequest) -> Page:
        return await show(request, ResetForm())

    @post("/reset", opt=ANYBODY | {"limit": "reset"}, include_in_schema=False)
    async def reset(request: ApiRequest) -> Page:
        form = await read_form(request, ResetForm, pages.sessions)
        try:
            await rate_limit.mail(request.scope, form.email)
            await resets.ask(form.email)
        except DomainError as refused:
            return await show(request, form, refused)
        return pages.go(request, "/reset/confirm", _MAIL_SENT)

    return [reset_page, reset]


def _confirm_routes(
    pages: Pages, resets: PasswordReset, rate_limit: RateLimitGuard
) -> list[HTTPRouteHandler]:
    @get("/reset/confirm", opt=ANYBODY, include_in_schema=False)
    async def confirm_page(request: ApiRequest, token: FromQuery[str] = "") -> Page:
        return await pages.show(request, "confirm.html", form=ConfirmForm(token=token))

    @post("/reset/confirm", opt=_LOGIN, include_in_schema=False)
    async def confirm(request: ApiRequest) -> Page:
        form = await read_form(request, ConfirmForm, pages.sessions)
        try:
            async with rate_limit.count_wrong_attempt(request.scope):
                found = await resets.confirm(form.token, form.password, keep_keys=form.keep_keys)
        except DomainError as refused:
            return await pages.show(request, "confirm.html", notice=refused, form=form)
        cookie = pages.sessions.begin(found)
        text = _RESET if found.api_key is None else f"{_RESET} {_KEYS_REVOKED}"
        return pages.go(request, "/", text, account=found.user.id, cookie=cookie)

    return [confirm_page, confirm]


def _password_routes(
    pages: Pages, resets: PasswordReset, rate_limit: RateLimitGuard
) -> list[HTTPRouteHandler]:
    @get("/password", opt=PERSON, include_in_schema=False)
    async def password_page(request: ApiRequest) -> Page:
        return await pages.show(request, "password.html")

    @post("/password", opt=PERSON | {"limit": "login"}, include_in_schema=False)
    async def change_password(request: ApiRequest) -> Page:
        form = await read_form(request, PasswordForm, pages.sessions)
        who = request.scope["user"]
        try:
            async with rate_limit.count_wrong_attempt(request.scope, str(who.account)):
                found = await resets.change(who, form.current_password, form.new_password)
        except DomainError as refused:
            return await pages.show(request, "password.html", notice=refused)
        return pages.go(request, "/password", _CHANGED, cookie=pages.sessions.begin(found))

    return [password_page, change_password]
