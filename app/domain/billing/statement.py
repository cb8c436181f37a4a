"""An account's statement for its owner: each transfer with the spendable balance after it."""

from collections.abc import AsyncGenerator
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from app.domain.database import Database
from app.domain.identity.principals import Principal
from app.domain.pagination import Page, page
from db.postgres.queries import query

_AT_ONCE = 500
ROWS_MAX = 10_000  # of an export


class Movement(Struct, frozen=True, kw_only=True):
    """One transfer, in micro-credits: `change` of the spendable balance, and the balance `left_after` it."""

    seq: int
    at: datetime
    ref: UUID
    src: str
    dst: str
    amount: int
    bucket: str
    reason: str
    change: int
    left_after: int

    @property
    def what(self) -> str:
        """The kind of transfer, in a word or two."""
        match self.src, self.dst:
            case _, "held":
                return "Held for a request"
            case _, "spent":
                return "Charged"
            case _, "expired":
                return "Expired"
            case "held", _:
                return "Given back"
            case "spent", _:
                return "Refunded"
            case _:
                return "Added"

    @property
    def is_of_job(self) -> bool:
        """Whether `ref` is a job's id."""
        return bool({self.src, self.dst} & {"held", "spent"})


class Statement:
    """Reads the transfers. Balances are counted back from the wallet: the newest page costs the least."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, who: Principal, *, limit: int, cursor: str | None) -> Page[Movement]:
        """Transfers, newest first."""

        async def fetch(after: int | None, count: int) -> list[Movement]:
            async with self._database.connection() as connection:
                rows = await connection.fetch(query("own_ledger"), who.account, after, count)
            return [Movement(**dict(row)) for row in rows]

        return await page(fetch, mark="seq", limit=limit, cursor=cursor)

    async def rows(self, who: Principal) -> AsyncGenerator[Movement]:
        """The last ROWS_MAX transfers, newest first."""
        cursor: str | None = None
        for _ in range(ROWS_MAX // _AT_ONCE):
            found = await self.page(who, limit=_AT_ONCE, cursor=cursor)
            for movement in found.items:
                yield movement
            cursor = found.next_cursor
            if cursor is None:
                return
