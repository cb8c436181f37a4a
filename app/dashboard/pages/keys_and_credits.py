"""The page API & Credits: keys created, shown, rotated and revoked; and the account's ledger."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from app.dashboard.csv_tables import csv_response
from app.dashboard.flash import ShownKey
from app.dashboard.rendering import PERSON, Page, PageRequest, Question
from app.domain.accounts.api_keys import ApiKeys, NewKey
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


@get("/credits", opt=PERSON)
async def credits_page(
    page: NamedDependency[PageRequest],
    keys: NamedDependency[ApiKeys],
    statement: NamedDependency[Statement],
    cursor: FromQuery[str] = "",
) -> Page:
    """The account's keys and its ledger."""
    return await _show(page, keys, statement, None, cursor)


@get("/credits.csv", opt=PERSON)
async def ledger_sheet(request: ApiRequest, statement: NamedDependency[Statement]) -> LiveResponse:
    """The whole ledger as a CSV file."""
    return csv_response("codevoice-ledger.csv", _HEAD, _cells(statement, request.user))


@post("/credits/keys", opt=_POST)
async def create_key(
    page: NamedDependency[PageRequest], keys: NamedDependency[ApiKeys], statement: NamedDependency[Statement]
) -> Page:
    """Create a key."""
    form = await page.form(KeyForm)
    end = datetime.now(UTC) + timedelta(days=min(form.days, 100_000)) if form.days else None
    try:
        wanted = NewKey(name=form.name, scopes=form.scopes, expires_at=end)
        made = await keys.create(page.request.user, wanted)
    except DomainError as refused:
        return await _show(page, keys, statement, refused)
    return page.go("/credits", key=ShownKey(name=made.name, text=made.text or "", personal=made.personal))


@get([f"/credits/keys/{{key_id:str}}/{name}" for name in _QUESTIONS], opt=PERSON)
async def ask_about_key(
    key_id: FromPath[str], page: NamedDependency[PageRequest], keys: NamedDependency[ApiKeys]
) -> Page:
    """The question before a key is rotated or revoked."""
    name = page.action
    key = await keys.one(page.request.user, key_id, reveal=False)
    title, text = _QUESTIONS[name]
    title = f"{title} “{key.name}”?"
    return await page.ask(Question(title=title, text=text, button=name.capitalize(), back="/credits"))


@post("/credits/keys/{key_id:str}/rotate", opt=_POST)
async def rotate_key(
    key_id: FromPath[str],
    page: NamedDependency[PageRequest],
    keys: NamedDependency[ApiKeys],
    statement: NamedDependency[Statement],
) -> Page:
    """Replace a key by a new one."""
    form = await page.form(RotateForm)
    try:
        made = await keys.rotate(page.request.user, key_id, grace_s=form.grace_s)
    except NotFound:
        raise
    except DomainError as refused:
        return await _show(page, keys, statement, refused)
    return page.go("/credits", key=ShownKey(name=made.name, text=made.text or "", personal=made.personal))


@post("/credits/keys/{key_id:str}/revoke", opt=_POST)
async def revoke_key(
    key_id: FromPath[str], page: NamedDependency[PageRequest], keys: NamedDependency[ApiKeys]
) -> Page:
    """Revoke a key."""
    await keys.revoke(page.request.user, key_id)
    return page.go("/credits", "The key is revoked: it has stopped working.")


async def _show(
    page: PageRequest, keys: ApiKeys, statement: Statement, notice: DomainError | None, cursor: str = ""
) -> Page:
    who = page.request.user
    return await page.show(
        "credits.html",
        notice=notice,
        keys=await keys.all_of(who),
        personal=await keys.personal(who),
        reveal=keys.reveal,
        scopes=[scope for scope in SCOPES if scope != ADMIN or who.admin],
        now=datetime.now(UTC),
        movements=await statement.page(who, limit=_PAGE, cursor=cursor or None),
        cursor=cursor,
    )


async def _cells(ledger: Statement, who: Principal) -> AsyncIterator[tuple[object, ...]]:
    async for one in ledger.rows(who):
        amounts = (credits(one.amount), credits(one.change), credits(one.left_after))
        yield (one.seq, one.at.isoformat(), one.what, *amounts, one.bucket, one.reason, one.ref)
