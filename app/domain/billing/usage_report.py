"""An account's usage by day, kind and key, and its sums by each of them."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct

from app.domain.billing.usage_summary import Day, KeyUse, UsageSummaries
from app.domain.database import Database
from app.domain.errors import Invalid
from app.domain.identity.principals import Principal

DAYS_MAX = 366
NO_KEY = "browser or token"


class Sum(Struct, frozen=True, kw_only=True):
    """The sum of the rows that share a `name`."""

    name: str
    requests: int
    succeeded: int
    failed: int
    spent: int


class UsageReport:
    """Reads usage, by the index of owners."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last(self, who: Principal, days: int) -> list[KeyUse]:
        """The last `days` days, today included, newest first. Raises Invalid."""
        if not 1 <= days <= DAYS_MAX:
            raise Invalid(f"Days are 1 to {DAYS_MAX}.", field="days", limit=[1, DAYS_MAX])
        return await UsageSummaries(self._database).by_key(who, days=days)


def by_day(rows: Iterable[KeyUse], days: int) -> list[Day]:
    """One sum for each of the days, oldest first."""
    found = {
        day: Day(date=day, requests=0, spent=0) for day in (_first(days) + timedelta(n) for n in range(days))
    }
    for row in rows:
        before = found.get(row.day, Day(date=row.day, requests=0, spent=0))
        found[row.day] = Day(
            date=row.day, requests=before.requests + row.requests, spent=before.spent + row.spent
        )
    return list(found.values())


def sums(rows: Iterable[KeyUse], name: Callable[[KeyUse], str]) -> list[Sum]:
    """Rows summed by name, the busiest first."""
    found: dict[str, list[KeyUse]] = {}
    for row in rows:
        found.setdefault(name(row), []).append(row)
    total = [
        Sum(
            name=of,
            requests=sum(row.requests for row in same),
            succeeded=sum(row.succeeded for row in same),
            failed=sum(row.failed for row in same),
            spent=sum(row.spent for row in same),
        )
        for of, same in found.items()
    ]
    return sorted(total, key=lambda one: (-one.requests, one.name))


def _first(days: int) -> date:
    return datetime.now(UTC).date() - timedelta(days - 1)
