"""The page API & Credits: keys created, shown, rotated and revoked; and the account's ledger."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from app.dashboard.csv_tables import csv_response
from app.dashboard.flash import ShownKey
from app.dashboard.forms import read_form
from app.dashboard.pages.log_in import NoForm, Page
from app.dashboard.rendering import PERSON, Pages, Question
from app.domain.accounts.api_keys import ApiKeys, Key, NewKey
from app.domain.billing.credits import credits
from app.domain.billing.statement import Statement
from app.domain.errors import DomainError, NotFound
from app.domain.identity.principals import Principal
from app.domain.identity.scopes import ADMIN, SCOPES
from app.http.api_request import ApiRequest
from app.http.disconnects import LiveResponse

_PAGE = 25
_POST = PERSON | {"limit": "post", "back": "/credits"}
_QUESTIONS = {
    "rotate": ("Replace the key", "You get a new key in its place. The old one stops working at once."),
    "revoke": ("Revoke the key", "It stops working at once, for good. What uses it is refused from then on."),
}
_HEAD = ("seq", "at", "what", "credits", "change", "left_after", "bucket", "reason", "ref")


class KeyForm(Struct, frozen=True, kw_only=True):
    name: str = ""
    scopes: list[str] = []
    days: int | None = None


class RotateForm(Struct, frozen=True, kw_only=True):
    grace_s: int = 0


class CreditsPage(Struct, frozen=True):
    """The components that the page needs."""

    pages: Pages
    keys: ApiKeys
    ledger: Statement

    async def show(self, request: ApiRequest, notice: DomainError | None = None) -> Response[str]:
        who: Principal = request.scope["user"]
        cursor = request.query_params.get("cursor") or None
        return await self.pages.show(
            request,
            "credits.html",
            notice=notice,
            keys=await self.keys.all_of(who),
            personal=await self.keys.personal(who),
            reveal=self.keys.reveal,
            scopes=[scope for scope in SCOPES if scope != ADMIN or who.admin],
            now=datetime.now(UTC),
            movements=await self.ledger.page(who, limit=_PAGE, cursor=cursor),
            cursor=cursor,
        )

    def go(self, request: ApiRequest, made: Key) -> Response[None]:
        """Redirect to the page, which shows the new key once."""
        shown = ShownKey(name=made.name, text=made.text or "", personal=made.personal)
        return self.pages.go(request, "/credits", key=shown)


def credits_routes(page: CreditsPage) -> list[HTTPRouteHandler]:
    """GET /credits, its CSV file, and the routes that change keys."""

    @get("/credits", opt=PERSON, include_in_schema=False)
    async def credits_page(request: ApiRequest) -> Response[str]:
        return await page.show(request)

    @get("/credits.csv", opt=PERSON, include_in_schema=False)
    async def ledger_sheet(request: ApiRequest) -> LiveResponse:
        return csv_response("codevoice-ledger.csv", _HEAD, _cells(page.ledger, request.scope["user"]))

    questions = [_question_route(page, name) for name in _QUESTIONS]
    return [
        credits_page,
        ledger_sheet,
        _create_route(page),
        _rotate_route(page),
        _revoke_route(page),
        *questions,
    ]


def _create_route(page: CreditsPage) -> HTTPRouteHandler:
    @post("/credits/keys", opt=_POST, include_in_schema=False)
    async def create_key(request: ApiRequest) -> Page:
        form = await read_form(request, KeyForm, page.pages.sessions)
        end = datetime.now(UTC) + timedelta(days=min(form.days, 100_000)) if form.days else None
        try:
            wanted = NewKey(name=form.name, scopes=form.scopes, expires_at=end)
            made = await page.keys.create(request.scope["user"], wanted)
        except DomainError as refused:
            return await page.show(request, refused)
        return page.go(request, made)

    return create_key


def _question_route(page: CreditsPage, name: str) -> HTTPRouteHandler:
    @get(f"/credits/keys/{{key_id:str}}/{name}", opt=PERSON, include_in_schema=False, name=f"page:key:{name}")
    async def ask(request: ApiRequest, key_id: FromPath[str]) -> Response[str]:
        key = await page.keys.one(request.scope["user"], key_id, reveal=False)
        title, text = _QUESTIONS[name]
        question = Question(
            title=f"{title} “{key.name}”?", text=text, button=name.capitalize(), back="/credits"
        )
        return await page.pages.ask(request, question)

    return ask


def _rotate_route(page: CreditsPage) -> HTTPRouteHandler:
    @post("/credits/keys/{key_id:str}/rotate", opt=_POST, include_in_schema=False)
    async def rotate_key(request: ApiRequest, key_id: FromPath[str]) -> Page:
        form = await read_form(request, RotateForm, page.pages.sessions)
        try:
            made = await page.keys.rotate(request.scope["user"], key_id, grace_s=form.grace_s)
        except NotFound:
            raise
        except DomainError as refused:
            return await page.show(request, refused)
        return page.go(request, made)

    return rotate_key


def _revoke_route(page: CreditsPage) -> HTTPRouteHandler:
    @post("/credits/keys/{key_id:str}/revoke", opt=_POST, include_in_schema=False)
    async def revoke_key(request: ApiRequest, key_id: FromPath[str]) -> Response[None]:
        await read_form(request, NoForm, page.pages.sessions)
        await page.keys.revoke(request.scope["user"], key_id)
        return page.pages.go(request, "/credits", "The key is revoked: it has stopped working.")

    return revoke_key


async def _cells(ledger: Statement, who: Principal) -> AsyncIterator[tuple[object, ...]]:
    async for one in ledger.rows(who):
        amounts = (credits(one.amount), credits(one.change), credits(one.left_after))
        yield (one.seq, one.at.isoformat(), one.what, *amounts, one.bucket, one.reason, one.ref)
