"""Renders pages: their templates, their security headers, and errors as pages for people."""

import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response, get
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute
from msgspec import Struct

from app.dashboard.flash import Flash, Flashes, ShownKey
from app.dashboard.forms import F, read_form
from app.dashboard.static_files import Statics
from app.domain.accounts.service import Accounts, User
from app.domain.billing.credits import in_words, spendable
from app.domain.errors import DomainError, LoginNeeded
from app.domain.identity.principals import Principal
from app.http.api_request import ApiRequest
from app.http.errors import answer_error, domain_error_of
from app.http.sessions import Sessions
from db.types import MICRO, Balance

Page = Response[str] | Response[None]
ANYBODY = {"page": "anybody"}
PERSON = {"page": "person"}
ADMIN = {"page": "admin", "scope": "admin"}
_PROGRAMS = ("/api/", "/v1/", "/v2/", "/tts/")
_NONCE_BYTES = 16
_FOLDER = Path(__file__).with_name("templates")
_CONFINED = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
}


class Notice(Struct, frozen=True, kw_only=True):
    """The message that a page shows about the last action."""

    text: str
    is_error: bool = False


class Question(Struct, frozen=True, kw_only=True):
    """A question to confirm before an action that cannot be undone; `fields` are sent with its form."""

    title: str
    text: str
    button: str
    back: str
    fields: dict[str, str] = {}


class Pages:
    """Renders pages. The templates escape everything from outside; nothing is marked as safe."""

    def __init__(
        self, sessions: Sessions, flashes: Flashes, accounts: Accounts, statics: Statics, *, low_credits: int
    ) -> None:
        self.sessions = sessions
        self._flashes = flashes
        self._accounts = accounts
        self._low_credits = low_credits
        self._templates = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        names: dict[str, Any] = self._templates.globals
        names["static"] = statics.address
        self._templates.filters |= _FILTERS

    async def show(
        self,
        request: ApiRequest,
        template: str,
        *,
        notice: Notice | DomainError | None = None,
        **facts: Any,
    ) -> Response[str]:
        """The page, with the caller's account and credits. If `notice` is an error, the page has its status.

        Without a `notice`, the page shows the message that `go` left for it, once.
        """
        who: Principal | None = request.scope["user"]
        user, balance = await self._accounts.me(who) if who else (None, None)
        flash, spent = self._flash(request, who)
        shown = Notice(text=notice.message, is_error=True) if isinstance(notice, DomainError) else notice
        if shown is None and flash and flash.text:
            shown = Notice(text=flash.text)
        status = notice.status if isinstance(notice, DomainError) else 200
        standing = _standing(user, balance, low_credits=self._low_credits)
        new_key = flash.key if flash else None
        answer = self._answer(
            request, template, status, notice=shown, who=who, new_key=new_key, **standing, **facts
        )
        answer.cookies.extend([spent] if spent else [])
        return answer

    async def ask(self, request: ApiRequest, question: Question) -> Response[str]:
        """The page with the question and a form for the same address. It needs no script."""
        return await self.show(request, "ask.html", question=question)

    def go(
        self,
        request: ApiRequest,
        path: str,
        text: str = "",
        *,
        key: ShownKey | None = None,
        account: UUID | None = None,
        cookie: str | None = None,
    ) -> Response[None]:
        """Redirect to the page at `path`, which shows `text` and a new key once; a reload repeats nothing.

        `account`: the account logged in on that page, if the action changed it.
        """
        who: Principal | None = request.scope["user"]
        owner = account or (who.account if who else None)
        return redirect(path, cookie=cookie, flash=self._flashes.seal(Flash(text=text, key=key), path, owner))

    def _flash(self, request: ApiRequest, who: Principal | None) -> tuple[Flash | None, Cookie | None]:
        if request.method != "GET":
            return None, None
        scope = request.scope
        return self._flashes.take(scope["headers"], scope["path"], who.account if who else None)

    def answer_error(self, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        """The error as a page if a page was requested; otherwise as JSON for programs."""
        handler: Any = request.scope.get("route_handler")  # None if the path is unknown
        is_page = "page" in handler.opt if handler is not None else _is_from_browser(request)
        return self.refuse(request, error) if is_page else answer_error(request, error)

    def refuse(self, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        """The error as a page; a redirect to the log-in page if a log-in is needed."""
        if isinstance(error, LoginNeeded):
            return redirect(f"/login?next={quote(_wanted(request))}")
        refused = domain_error_of(error)
        who = request.scope.get("user")
        facts = {"who": who, "user": None, "balance": None, "left": None, "notice": None}
        answer = self._answer(request, "error.html", refused.status, error=refused, **facts)
        answer.headers.update(refused.headers)
        return answer

    def _answer(
        self, request: Request[Any, Any, Any], template: str, status: int, **facts: Any
    ) -> Response[str]:
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        token, cookie = self.sessions.form_token(request.scope["headers"])
        html = self._templates.get_template(template).render(
            nonce=nonce, form_token=token, path=request.scope["path"], **facts
        )
        headers = {**_CONFINED, "Content-Security-Policy": _policy(nonce)}
        if cookie is not None:
            headers["Set-Cookie"] = cookie
        return Response(html, status_code=status, headers=headers, media_type=MediaType.HTML)


class PageRequest:
    """A request for a page: what handlers of pages read, and how they answer. See the methods of Pages."""

    def __init__(self, request: ApiRequest, pages: Pages) -> None:
        self.request = request
        self.sessions = pages.sessions
        self.show = partial(pages.show, request)
        self.ask = partial(pages.ask, request)
        self.go = partial(pages.go, request)

    async def form(self, kind: type[F]) -> F:
        """The fields of the form that was sent. Raises BadRequest, and Invalid naming the field."""
        return await read_form(self.request, kind)

    @property
    def action(self) -> str:
        """The last part of the route's path, where one handler has several."""
        return self.request.scope["path_template"].rpartition("/")[2]


async def page_request(request: ApiRequest, pages: NamedDependency[Pages]) -> PageRequest:
    """The dependency `page` of the handlers of pages."""
    return PageRequest(request, pages)


def redirect(path: str, *, cookie: str | None = None, flash: Cookie | None = None) -> Response[None]:
    """Redirect to another page (303), with its cookies."""
    headers = {"Location": path, "Cache-Control": "no-store"} | ({"Set-Cookie": cookie} if cookie else {})
    return Response(None, status_code=303, headers=headers, cookies=[flash] if flash else [])


def redirects_to_pages(routes: Sequence[BaseRoute]) -> list[HTTPRouteHandler]:
    """For each path that only accepts forms, a GET route that redirects to the page of the form: a browser
    requests it if its user presses Enter in the address bar. `opt["back"]` names the page.
    """
    forms = [route for route in routes if isinstance(route, HTTPRoute) and "GET" not in route.methods]
    return [
        _way_back(route.path, form)
        for route in forms
        for form in route.route_handlers
        if "POST" in form.http_methods
    ]


def _way_back(path: str, form: HTTPRouteHandler) -> HTTPRouteHandler:
    opt = {name: value for layer in form.ownership_layers for name, value in (layer.opt or {}).items()}
    page: str = opt["back"]

    @get(path, opt={name: opt[name] for name in ("page", "scope", "back") if name in opt})
    async def back(request: ApiRequest) -> Response[None]:
        return redirect(_filled(page, request))

    return back


def _filled(page: str, request: Request[Any, Any, Any]) -> str:
    """The path of a page, filled in with the request's path parameters."""
    return page.format(**{name: quote(str(part)) for name, part in request.path_params.items()})


def _is_from_browser(request: Request[Any, Any, Any]) -> bool:
    """Whether a person opened this unknown path: programs accept no HTML, and call paths of the API."""
    takes_html = "text/html" in request.headers.get("accept", "")
    return takes_html and not request.scope["path"].startswith(_PROGRAMS)


def _wanted(request: Request[Any, Any, Any]) -> str:
    """The path to return to after the log-in; for a form, the page that contains it."""
    if request.method != "GET":
        opt = request.scope["route_handler"].opt
        return _filled(opt["back"], request) if "back" in opt else request.scope["path"]
    query = request.scope["query_string"].decode("latin-1")
    return request.scope["path"] + (f"?{query}" if query else "")


def _policy(nonce: str) -> str:
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self';"
        " media-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _standing(user: User | None, balance: Balance | None, *, low_credits: int) -> dict[str, Any]:
    left = spendable(balance) if balance else None
    is_low = left is not None and left <= low_credits * MICRO
    return {"user": user, "balance": balance, "left": left, "is_low": is_low}


def _moment(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%d %b %Y, %H:%M") if at else "never"


def _day(at: date | datetime) -> str:
    return at.strftime("%d %b %Y").lstrip("0")


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _length(ms: int | None) -> str:
    return "–" if ms is None else f"{ms // 60_000}:{ms % 60_000 / 1000:04.1f}"


def _thousands(number: int) -> str:
    return f"{number:,}"


def _facts(found: object) -> str:
    """JSON for a script to read from an attribute."""
    return msgspec.json.encode(found).decode()


def _signed(micro: int) -> str:
    return in_words(micro) if micro >= 0 else f"−{in_words(-micro)}"


_FILTERS = {
    "signed": _signed,
    "facts": _facts,
    "credits": in_words,
    "moment": _moment,
    "day": _day,
    "iso": _iso,
    "length_ms": _length,
    "thousands": _thousands,
}
