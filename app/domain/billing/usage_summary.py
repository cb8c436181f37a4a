"""An account's usage: the last thirty days, recent jobs, this month's credits, and by key."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from msgspec import Struct

from app.domain.database import Database
from app.domain.identity.principals import Principal
from app.domain.jobs.history import History, OwnJob
from db.postgres.queries import query
from db.types import State

DAYS = 30
_RECENT = 20
_FAILED = ("failed", "expired")  # a job its owner cancelled did not fail


class Day(Struct, frozen=True, kw_only=True):
    """One day (UTC); `spent` in micro-credits, of jobs that have ended."""

    date: date
    requests: int
    spent: int


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of job."""

    kind: str
    requests: int
    spent: int


class Usage(Struct, frozen=True, kw_only=True):
    """Usage of thirty days, today included; days without jobs are listed, too."""

    requests: int
    succeeded: int
    failed: int
    by_day: list[Day]
    by_kind: list[Kind]

    @property
    def success_rate(self) -> float | None:
        """The share that succeeded of all jobs that completed, failed or expired; None if there is none."""
        ended = self.succeeded + self.failed
        return round(self.succeeded / ended, 4) if ended else None


class KeyUse(Struct, frozen=True, kw_only=True):
    """The jobs of one key (None: a token or browser), kind and day; `spent` in micro-credits."""

    day: date
    key: UUID | None
    key_name: str | None
    prefix: str | None
    kind: str
    requests: int
    succeeded: int
    failed: int
    characters: int
    duration_ms: int
    spent: int


class _Row(Struct, frozen=True, kw_only=True):
    day: date
    kind: str
    state: State
    requests: int
    spent: int


class UsageSummaries:
    """Reads usage; each method is one statement over one index, bounded by days or rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last_days(self, who: Principal) -> Usage:
        """The last thirty days, today included."""
        today = datetime.now(UTC).date()
        days = [today - timedelta(days=n) for n in reversed(range(DAYS))]
        since = datetime.combine(days[0], time(), UTC)
        async with self._database.connection() as connection:
            rows = await connection.fetch(query("usage_by_day"), who.account, since)
        return _usage(days, [_Row(**dict(row)) for row in rows])

    async def by_key(self, who: Principal, *, days: int) -> list[KeyUse]:
        """The last `days` days, today included, newest first; days without jobs are left out."""
        since = datetime.combine(datetime.now(UTC).date() - timedelta(days=days - 1), time(), UTC)
        async with self._database.connection() as connection:
            rows = await connection.fetch(query("usage_by_key"), who.account, since)
        return [KeyUse(**dict(row)) for row in rows]

    async def recent(self, who: Principal) -> list[OwnJob]:
        """The last twenty jobs, newest first."""
        found = await History(self._database).list(who, state=None, kind=None, limit=_RECENT, cursor=None)
        return found.items

    async def spent_this_month(self, who: Principal) -> int:
        """Micro-credits of the jobs of this calendar month (UTC) that have ended."""
        async with self._database.connection() as connection:
            (row,) = await connection.fetch(query("spent_this_month"), who.account)
        return int(row["spent"])


def _usage(days: Iterable[date], rows: Iterable[_Row]) -> Usage:
    states, requests, spent = Counter[str](), Counter[date | str](), Counter[date | str]()
    kinds: set[str] = set()
    for row in rows:
        states[row.state] += row.requests
        kinds.add(row.kind)
        for group in (row.day, row.kind):
            requests[group] += row.requests
            spent[group] += row.spent
    return Usage(
        requests=states.total(),
        succeeded=states["completed"],
        failed=sum(states[state] for state in _FAILED),
        by_day=[Day(date=day, requests=requests[day], spent=spent[day]) for day in days],
        by_kind=[Kind(kind=kind, requests=requests[kind], spent=spent[kind]) for kind in sorted(kinds)],
    )
