"""The way in and out: sign up, log in, log out, a new password."""

from urllib.parse import urlsplit

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from msgspec import Struct

from app.api.bodies import AnyRequest
from app.dashboard.forms import read_form
from app.dashboard.pages import ANYBODY, PERSON, Pages, Told, to
from app.domain.accounts import Accounts
from app.domain.errors import DomainError
from app.domain.resets import Resets
from app.gate import Gate

Page = Response[str] | Response[None]
_LOGIN = ANYBODY | {"limit": "login"}
_CHANGED = "The password is changed. Every other browser is logged out; keys work on."
_MAIL_SENT = "If this e-mail has an account, a mail with a token is on its way. It is good for an hour."


class SignUpForm(Struct, frozen=True, kw_only=True):
    email: str = ""
    password: str = ""
    name: str | None = None
    invite: str | None = None


class LoginForm(Struct, frozen=True, kw_only=True):
    email: str = ""
    password: str = ""
    next: str = "/"


class ResetForm(Struct, frozen=True, kw_only=True):
    email: str = ""


class ConfirmForm(Struct, frozen=True, kw_only=True):
    token: str = ""
    password: str = ""


class PasswordForm(Struct, frozen=True, kw_only=True):
    current_password: str = ""
    new_password: str = ""


class NoForm(Struct, frozen=True):
    """A form that is only a button."""


def entry_routes(pages: Pages, accounts: Accounts, resets: Resets, gate: Gate) -> list[HTTPRouteHandler]:
    """Sign up / Log in / Reset / Log out."""
    return [
        *_sign_up_routes(pages, accounts),
        *_log_in_routes(pages, accounts, gate),
        *_reset_routes(pages, resets, gate),
        *_confirm_routes(pages, resets),
        *_password_routes(pages, resets, gate),
        _log_out_route(pages, accounts),
    ]


def _sign_up_routes(pages: Pages, accounts: Accounts) -> list[HTTPRouteHandler]:
    async def show(request: AnyRequest, form: SignUpForm, told: DomainError | None = None) -> Page:
        return await pages.show(
            request, "signup.html", told=told, form=form, registration=accounts.registration
        )

    @get("/signup", opt=ANYBODY, include_in_schema=False)
    async def sign_up_page(request: AnyRequest, invite: FromQuery[str | None] = None) -> Page:
        return await show(request, SignUpForm(invite=invite))

    @post("/signup", opt=ANYBODY | {"limit": "register"}, include_in_schema=False)
    async def sign_up(request: AnyRequest) -> Page:
        form = await read_form(request, SignUpForm, pages.sessions)
        try:
            found = await accounts.register(form.email, form.password, form.name, form.invite)
        except DomainError as refused:
            return await show(request, form, refused)
        return to("/playground?welcome=1", cookie=pages.sessions.begin(found))

    return [sign_up_page, sign_up]


def _log_in_routes(pages: Pages, accounts: Accounts, gate: Gate) -> list[HTTPRouteHandler]:
    async def show(request: AnyRequest, form: LoginForm, told: DomainError | None = None) -> Page:
        return await pages.show(request, "login.html", told=told, form=form)

    @get("/login", opt=ANYBODY, include_in_schema=False)
    async def log_in_page(request: AnyRequest) -> Page:
        return await show(request, LoginForm(next=request.query_params.get("next", "/")))

    @post("/login", opt=_LOGIN, include_in_schema=False)
    async def log_in(request: AnyRequest) -> Page:
        form = await read_form(request, LoginForm, pages.sessions)
        try:
            await gate.login(request.scope, form.email)
            found = await accounts.login(form.email, form.password)
        except DomainError as refused:
            return await show(request, form, refused)
        return to(_own_path(form.next), cookie=pages.sessions.begin(found))

    return [log_in_page, log_in]


def _reset_routes(pages: Pages, resets: Resets, gate: Gate) -> list[HTTPRouteHandler]:
    @get("/reset", opt=ANYBODY, include_in_schema=False)
    async def reset_page(request: AnyRequest) -> Page:
        return await pages.show(request, "reset.html", form=ResetForm())

    @post("/reset", opt=_LOGIN, include_in_schema=False)
    async def reset(request: AnyRequest) -> Page:
        form = await read_form(request, ResetForm, pages.sessions)
        try:
            await gate.login(request.scope, form.email)
            await resets.ask(form.email)
        except DomainError as refused:
            return await pages.show(request, "reset.html", told=refused, form=form)
        return await pages.show(request, "confirm.html", told=Told(text=_MAIL_SENT), form=ConfirmForm())

    return [reset_page, reset]


def _confirm_routes(pages: Pages, resets: Resets) -> list[HTTPRouteHandler]:
    @get("/reset/confirm", opt=ANYBODY, include_in_schema=False)
    async def confirm_page(request: AnyRequest, token: FromQuery[str] = "") -> Page:
        return await pages.show(request, "confirm.html", form=ConfirmForm(token=token))

    @post("/reset/confirm", opt=_LOGIN, include_in_schema=False)
    async def confirm(request: AnyRequest) -> Page:
        form = await read_form(request, ConfirmForm, pages.sessions)
        try:
            found = await resets.confirm(form.token, form.password)
        except DomainError as refused:
            return await pages.show(request, "confirm.html", told=refused, form=form)
        return to("/", cookie=pages.sessions.begin(found))

    return [confirm_page, confirm]


def _password_routes(pages: Pages, resets: Resets, gate: Gate) -> list[HTTPRouteHandler]:
    @get("/password", opt=PERSON, include_in_schema=False)
    async def password_page(request: AnyRequest) -> Page:
        told = Told(text=_CHANGED) if "changed" in request.query_params else None
        return await pages.show(request, "password.html", told=told)

    @post("/password", opt=PERSON | {"limit": "login"}, include_in_schema=False)
    async def change_password(request: AnyRequest) -> Page:
        form = await read_form(request, PasswordForm, pages.sessions)
        who = request.scope["user"]
        try:
            await gate.login(request.scope, str(who.account))
            found = await resets.change(who, form.current_password, form.new_password)
        except DomainError as refused:
            return await pages.show(request, "password.html", told=refused)
        return to("/password?changed=1", cookie=pages.sessions.begin(found))

    return [password_page, change_password]


def _log_out_route(pages: Pages, accounts: Accounts) -> HTTPRouteHandler:
    @post("/logout", opt=PERSON | {"limit": "post"}, include_in_schema=False)
    async def log_out(request: AnyRequest) -> Page:
        await read_form(request, NoForm, pages.sessions)
        await accounts.logout(request.scope["user"])
        return to("/login", cookie=pages.sessions.end())

    return log_out


def _own_path(wanted: str) -> str:
    """`wanted` where it is a page of ours; nobody is sent elsewhere by a link to our log-in."""
    parts = urlsplit(wanted.replace("\\", "/"))
    is_own = wanted.startswith("/") and not parts.scheme and not parts.netloc and wanted.isprintable()
    return wanted if is_own and wanted.isascii() else "/"
