"""The price book, as the API server quotes from it: at most a second old while Postgres responds."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from app.domain.billing.credits import in_words
from app.domain.database import Database
from app.domain.shared_value import SharedValue
from db.postgres.queries import query
from db.types import MICRO, Price

ANY = "*"
_FRESH_S = 1.0
_STALE_S = 10.0  # the oldest price quoted while the database takes longer than _WAIT_S
_WAIT_S = 0.5


class Quote(Struct, frozen=True):
    """The most a request may cost, in micro-credits; with the price book's version and its unit."""

    hold: int
    tariff: int
    unit: str = "request"


class PriceBook:
    """Quotes by the prices in force; the final charge is computed in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._prices = SharedValue(self._read, fresh_s=_FRESH_S, stale_s=_STALE_S, wait_s=_WAIT_S)

    async def quote(self, kind: str, engine: str, *, characters: int = 0, audio_ms_max: int = 0) -> Quote:
        """The upper bound for so many characters, or so much audio at most. Raises Unavailable."""
        price = await self.price(kind, engine)
        return Quote(
            bound(price, characters=characters, audio_ms_max=audio_ms_max), price.version, price.unit
        )

    async def price(self, kind: str, engine: str) -> Price:
        """The price in force for a kind of work by an engine. Raises Unavailable."""
        return in_force(await self._prices.current(), kind, engine)

    async def _read(self) -> tuple[Price, ...]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(query("prices"))
        return tuple(msgspec.convert(dict(row), Price) for row in rows)


def in_force(prices: Sequence[Price], kind: str, engine: str) -> Price:
    """The most specific price: of kind and engine, engine, kind, or of anything, which always exists."""
    found = {(price.kind, price.engine): price for price in prices}
    for name in ((kind, engine), (ANY, engine), (kind, ANY)):
        if name in found:
            return found[name]
    return found[ANY, ANY]


def price_in_words(price: Price, *, of: str) -> str:
    """The price as a sentence; `of` is what is bought, with its article."""
    amount = in_words(price.amount) + (" credit" if price.amount == MICRO else " credits")
    match price.unit:
        case "request":
            return f"{of} costs {amount}"
        case "1000_characters":
            return f"{of} costs {amount} for 1,000 characters"
        case "audio_second":
            return f"{of} costs {amount} a second of audio"


def bound(price: Price, *, characters: int, audio_ms_max: int) -> int:
    """The most that is due, rounded up to a micro-credit."""
    match price.unit:
        case "request":
            return price.amount
        case "1000_characters":
            return -(-price.amount * characters // 1000)
        case "audio_second":
            return -(-price.amount * audio_ms_max // 1000)
