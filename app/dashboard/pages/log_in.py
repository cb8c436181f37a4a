"""The pages to sign up, log in, log out, and log out everywhere."""

from urllib.parse import urlsplit

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery
from msgspec import Struct

from app.dashboard.forms import read_form
from app.dashboard.rendering import ANYBODY, PERSON, Pages, redirect
from app.domain.accounts.service import Accounts
from app.domain.errors import DomainError
from app.http.api_request import ApiRequest
from app.http.rate_limit import RateLimitGuard

Page = Response[str] | Response[None]
_LOGIN = ANYBODY | {"limit": "login"}
_WELCOME = "Your account is ready. Press Speak to hear your first sentence."
_LOGGED_OUT = "You are logged out."
_LOGGED_OUT_EVERYWHERE = (
    "You are logged out everywhere: in every browser and every program. API keys keep working."
)


class SignUpForm(Struct, frozen=True, kw_only=True):
    email: str = ""
    password: str = ""
    name: str | None = None
    invite: str | None = None


class LoginForm(Struct, frozen=True, kw_only=True):
    email: str = ""
    password: str = ""
    next: str = "/"


class NoForm(Struct, frozen=True):
    """A form with a button and no fields."""


def entry_routes(pages: Pages, accounts: Accounts, rate_limit: RateLimitGuard) -> list[HTTPRouteHandler]:
    """The routes to sign up, log in, log out, and log out everywhere."""
    return [
        *_sign_up_routes(pages, accounts),
        *_log_in_routes(pages, accounts, rate_limit),
        _log_out_route(pages, accounts),
        _log_out_everywhere_route(pages, accounts),
    ]


def _sign_up_routes(pages: Pages, accounts: Accounts) -> list[HTTPRouteHandler]:
    async def show(request: ApiRequest, form: SignUpForm, notice: DomainError | None = None) -> Page:
        return await pages.show(
            request, "signup.html", notice=notice, form=form, registration=accounts.registration
        )

    @get("/signup", opt=ANYBODY, include_in_schema=False)
    async def sign_up_page(request: ApiRequest, invite: FromQuery[str | None] = None) -> Page:
        return await show(request, SignUpForm(invite=invite))

    @post("/signup", opt=ANYBODY | {"limit": "register"}, include_in_schema=False)
    async def sign_up(request: ApiRequest) -> Page:
        form = await read_form(request, SignUpForm, pages.sessions)
        try:
            found = await accounts.register(form.email, form.password, form.name, form.invite)
        except DomainError as refused:
            return await show(request, form, refused)
        cookie = pages.sessions.begin(found)
        return pages.go(request, "/playground", _WELCOME, account=found.user.id, cookie=cookie)

    return [sign_up_page, sign_up]


def _log_in_routes(pages: Pages, accounts: Accounts, rate_limit: RateLimitGuard) -> list[HTTPRouteHandler]:
    async def show(request: ApiRequest, form: LoginForm, notice: DomainError | None = None) -> Page:
        return await pages.show(request, "login.html", notice=notice, form=form)

    @get("/login", opt=ANYBODY, include_in_schema=False)
    async def log_in_page(request: ApiRequest) -> Page:
        return await show(request, LoginForm(next=request.query_params.get("next", "/")))

    @post("/login", opt=_LOGIN, include_in_schema=False)
    async def log_in(request: ApiRequest) -> Page:
        form = await read_form(request, LoginForm, pages.sessions)
        try:
            async with rate_limit.count_wrong_attempt(request.scope, form.email):
                found = await accounts.login(form.email, form.password)
        except DomainError as refused:
            return await show(request, form, refused)
        return redirect(_own_path(form.next), cookie=pages.sessions.begin(found))

    return [log_in_page, log_in]


def _log_out_route(pages: Pages, accounts: Accounts) -> HTTPRouteHandler:
    @post("/logout", opt=PERSON | {"limit": "post", "back": "/"}, include_in_schema=False)
    async def log_out(request: ApiRequest) -> Page:
        await read_form(request, NoForm, pages.sessions)
        await accounts.logout(request.scope["user"])
        request.scope["user"] = None
        return pages.go(request, "/login", _LOGGED_OUT, cookie=pages.sessions.end())

    return log_out


def _log_out_everywhere_route(pages: Pages, accounts: Accounts) -> HTTPRouteHandler:
    @post("/logout/everywhere", opt=PERSON | {"limit": "post", "back": "/password"}, include_in_schema=False)
    async def log_out_everywhere(request: ApiRequest) -> Page:
        await read_form(request, NoForm, pages.sessions)
        await accounts.logout_everywhere(request.scope["user"])
        request.scope["user"] = None
        return pages.go(request, "/login", _LOGGED_OUT_EVERYWHERE, cookie=pages.sessions.end())

    return log_out_everywhere


def _own_path(wanted: str) -> str:
    """`wanted` if it is a path on this server, or `/`: a log-in link must not redirect to another site."""
    parts = urlsplit(wanted.replace("\\", "/"))
    is_own = wanted.startswith("/") and not parts.scheme and not parts.netloc and wanted.isprintable()
    return wanted if is_own and wanted.isascii() else "/"
