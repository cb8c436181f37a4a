"""The pages to sign up, log in, log out, and log out everywhere."""

from urllib.parse import urlsplit

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Struct

from app.dashboard.rendering import ANYBODY, PERSON, Page, PageRequest, redirect
from app.domain.accounts.service import Accounts
from app.domain.errors import DomainError
from app.http.rate_limit import RateLimitGuard

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


@get("/signup", opt=ANYBODY)
async def sign_up_page(
    page: NamedDependency[PageRequest], accounts: NamedDependency[Accounts], invite: FromQuery[str] = ""
) -> Page:
    """The form to sign up."""
    return await page.show("signup.html", form=SignUpForm(invite=invite), registration=accounts.registration)


@post("/signup", opt=ANYBODY | {"limit": "register"})
async def sign_up(page: NamedDependency[PageRequest], accounts: NamedDependency[Accounts]) -> Page:
    """Create an account, and log in."""
    form = await page.form(SignUpForm)
    try:
        found = await accounts.register(form.email, form.password, form.name, form.invite)
    except DomainError as refused:
        return await page.show("signup.html", notice=refused, form=form, registration=accounts.registration)
    cookie = page.sessions.begin(found)
    return page.go("/playground", _WELCOME, account=found.user.id, cookie=cookie)


@get("/login", opt=ANYBODY)
async def log_in_page(page: NamedDependency[PageRequest], next: FromQuery[str] = "/") -> Page:
    """The form to log in."""
    return await page.show("login.html", form=LoginForm(next=next))


@post("/login", opt=ANYBODY | {"limit": "login"})
async def log_in(
    page: NamedDependency[PageRequest],
    accounts: NamedDependency[Accounts],
    rate_limit: NamedDependency[RateLimitGuard],
) -> Page:
    """Log in, and go back to the page that needed it."""
    form = await page.form(LoginForm)
    try:
        async with rate_limit.count_wrong_attempt(page.request.scope, form.email):
            found = await accounts.login(form.email, form.password)
    except DomainError as refused:
        return await page.show("login.html", notice=refused, form=form)
    return redirect(_own_path(form.next), cookie=page.sessions.begin(found))


@post("/logout", opt=PERSON | {"limit": "post", "back": "/"})
async def log_out(page: NamedDependency[PageRequest], accounts: NamedDependency[Accounts]) -> Page:
    """Log out in this browser."""
    await accounts.logout(page.request.user)
    page.request.scope["user"] = None
    return page.go("/login", _LOGGED_OUT, cookie=page.sessions.end())


@post("/logout/everywhere", opt=PERSON | {"limit": "post", "back": "/password"})
async def log_out_everywhere(page: NamedDependency[PageRequest], accounts: NamedDependency[Accounts]) -> Page:
    """Log out in every browser and every program."""
    await accounts.logout_everywhere(page.request.user)
    page.request.scope["user"] = None
    return page.go("/login", _LOGGED_OUT_EVERYWHERE, cookie=page.sessions.end())


def _own_path(wanted: str) -> str:
    """`wanted` if it is a path on this server, or `/`: a log-in link must not redirect to another site."""
    parts = urlsplit(wanted.replace("\\", "/"))
    is_own = wanted.startswith("/") and not parts.scheme and not parts.netloc and wanted.isprintable()
    return wanted if is_own and wanted.isascii() else "/"
