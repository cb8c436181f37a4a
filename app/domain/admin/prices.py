"""Operators' operations on the price book: list its versions, add one."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.admin.operations import AdminOperation, find_replay
from app.domain.admin.users import Amount
from app.domain.billing.credits import credits
from app.domain.billing.price_book import ANY
from app.domain.errors import Invalid
from app.domain.pagination import Page, select_page
from db.postgres.models import PRICE_NOW, Price
from db.postgres.pool import raw
from db.postgres.queries import query

Unit = Literal["request", "1000_characters", "audio_second"]
UNITS: tuple[Unit, ...] = ("request", "1000_characters", "audio_second")
_NAME_CHARACTERS_MAX = 100


class PriceRow(Struct, frozen=True, kw_only=True):
    """A version: `price` credits a unit for a kind and an engine (`*`: any), from `valid_from` on."""

    version: int
    kind: str
    engine: str
    unit: Unit
    price: Amount
    valid_from: datetime
    in_force: bool
    at: datetime
    actor: str
    reason: str


class NewPrice(Struct, frozen=True, kw_only=True):
    """A price to add: `amount` micro-credits a unit, from `valid_from` (None: now)."""

    kind: str
    unit: Unit
    amount: int
    engine: str = ANY
    valid_from: datetime | None = None


class Priced(Struct, frozen=True, kw_only=True):
    """The result of adding a price."""

    code: str
    version: int

    @property
    def account(self) -> None:
        """None: the operation belongs to no account."""


_ROWS = select(
    Price.version,
    Price.kind,
    Price.engine,
    Price.unit,
    Price.amount,
    Price.valid_from,
    Price.at,
    Price.actor,
    Price.reason,
    Price.version.in_(select(PRICE_NOW.c.version)).label("in_force"),
)


async def list_prices(session: AsyncSession, *, limit: int = 50, cursor: str | None = None) -> Page[PriceRow]:
    """Every version, newest first, and whether it is in force."""
    newest = Price.version
    return await select_page(session, _ROWS, _row, newest, mark="version", limit=limit, cursor=cursor)


async def set_price(session: AsyncSession, act: AdminOperation, wanted: NewPrice) -> Priced:
    """Add a version, effective within a second, or from `valid_from`. Raises Invalid and KeyReused."""
    _check(wanted)
    details = {"kind": wanted.kind, "engine": wanted.engine, "unit": wanted.unit, "amount": wanted.amount}
    before = await find_replay(session, act, "price", None, details)
    if before is not None:
        return Priced(code="replayed", version=before.details["version"])
    price = (wanted.kind, wanted.engine, wanted.unit, wanted.amount, wanted.valid_from)
    connection = await raw(session)
    row = await connection.fetchrow(query("set_price"), act.ref, *price, act.actor, act.reason)
    if row is None or row["code"] == "past":
        raise Invalid("A price holds from now or later, never from the past.", field="valid_from")
    return Priced(code=row["code"], version=row["version"])


def _check(wanted: NewPrice) -> None:
    for field, name in (("kind", wanted.kind), ("engine", wanted.engine)):
        if not 0 < len(name) <= _NAME_CHARACTERS_MAX or not name.isprintable() or not name.isascii():
            message = f"A name has 1 to {_NAME_CHARACTERS_MAX} printable ASCII characters; * is any."
            raise Invalid(message, field=field, limit=[1, _NAME_CHARACTERS_MAX])
    if wanted.valid_from is not None and wanted.valid_from.tzinfo is None:
        raise Invalid("A time needs its zone, as in 2030-01-01T00:00:00Z.", field="valid_from")


def _row(**row: Any) -> PriceRow:
    return PriceRow(price=credits(row.pop("amount")), **row)
