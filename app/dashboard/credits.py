"""API & Credits: keys made, shown, rotated, revoked; and the ledger, movement by movement."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream
from msgspec import Struct

from app.api.bodies import AnyRequest
from app.dashboard.entry import NoForm
from app.dashboard.forms import read_form
from app.dashboard.pages import PERSON, Pages, Told
from app.dashboard.sheets import sheet
from app.domain.api_keys import ApiKeys, Key, NewKey
from app.domain.credits import credits
from app.domain.errors import DomainError, NotFound
from app.domain.own_ledger import OwnLedger
from app.domain.principals import Principal
from app.domain.scopes import ADMIN, SCOPES

_PAGE = 25
_POST = PERSON | {"limit": "post"}
_HEAD = ("seq", "at", "what", "credits", "change", "left_after", "bucket", "reason", "ref")


class KeyForm(Struct, frozen=True, kw_only=True):
    name: str = ""
    scopes: list[str] = []
    days: int | None = None


class RotateForm(Struct, frozen=True, kw_only=True):
    grace_s: int = 0


class CreditsPage(Struct, frozen=True):
    """What the page needs."""

    pages: Pages
    keys: ApiKeys
    ledger: OwnLedger

    async def show(
        self, request: AnyRequest, told: Told | DomainError | None = None, made: Key | None = None
    ) -> Response[str]:
        who: Principal = request.scope["user"]
        cursor = request.query_params.get("cursor") or None
        return await self.pages.show(
            request,
            "credits.html",
            told=told,
            made=made,
            keys=await self.keys.all_of(who),
            personal=await self.keys.personal(who),
            reveal=self.keys.reveal,
            scopes=[scope for scope in SCOPES if scope != ADMIN or who.admin],
            now=datetime.now(UTC),
            movements=await self.ledger.page(who, limit=_PAGE, cursor=cursor),
            cursor=cursor,
        )


def credits_routes(page: CreditsPage) -> list[HTTPRouteHandler]:
    """GET /credits, its sheet, and what is done to keys."""

    @get("/credits", opt=PERSON, include_in_schema=False)
    async def credits_page(request: AnyRequest) -> Response[str]:
        return await page.show(request)

    @get("/credits.csv", opt=PERSON, include_in_schema=False)
    async def ledger_sheet(request: AnyRequest) -> Stream:
        return sheet("codevoice-ledger.csv", _HEAD, _cells(page.ledger, request.scope["user"]))

    return [credits_page, ledger_sheet, _create_route(page), _rotate_route(page), _revoke_route(page)]


def _create_route(page: CreditsPage) -> HTTPRouteHandler:
    @post("/credits/keys", status_code=200, opt=_POST, include_in_schema=False)
    async def create_key(request: AnyRequest) -> Response[str]:
        form = await read_form(request, KeyForm, page.pages.sessions)
        end = datetime.now(UTC) + timedelta(days=min(form.days, 100_000)) if form.days else None
        try:
            wanted = NewKey(name=form.name, scopes=form.scopes, expires_at=end)
            made = await page.keys.create(request.scope["user"], wanted)
        except DomainError as refused:
            return await page.show(request, refused)
        return await page.show(request, made=made)

    return create_key


def _rotate_route(page: CreditsPage) -> HTTPRouteHandler:
    @post("/credits/keys/{key_id:str}/rotate", status_code=200, opt=_POST, include_in_schema=False)
    async def rotate_key(request: AnyRequest, key_id: FromPath[str]) -> Response[str]:
        form = await read_form(request, RotateForm, page.pages.sessions)
        try:
            made = await page.keys.rotate(request.scope["user"], key_id, grace_s=form.grace_s)
        except NotFound:
            raise
        except DomainError as refused:
            return await page.show(request, refused)
        return await page.show(request, made=made)

    return rotate_key


def _revoke_route(page: CreditsPage) -> HTTPRouteHandler:
    @post("/credits/keys/{key_id:str}/revoke", status_code=200, opt=_POST, include_in_schema=False)
    async def revoke_key(request: AnyRequest, key_id: FromPath[str]) -> Response[str]:
        await read_form(request, NoForm, page.pages.sessions)
        await page.keys.revoke(request.scope["user"], key_id)
        return await page.show(request, Told(text="The key is revoked: it has stopped working."))

    return revoke_key


async def _cells(ledger: OwnLedger, who: Principal) -> AsyncIterator[tuple[object, ...]]:
    async for one in ledger.rows(who):
        amounts = (credits(one.amount), credits(one.change), credits(one.left_after))
        yield (one.seq, one.at.isoformat(), one.what, *amounts, one.bucket, one.reason, one.ref)
