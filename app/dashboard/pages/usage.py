"""The usage page: requests and credits by day, key and kind of job; also as a CSV file."""

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from app.dashboard.charts import chart
from app.dashboard.csv_tables import csv_response, each
from app.dashboard.rendering import PERSON, Page, PageRequest
from app.domain.billing.credits import credits
from app.domain.billing.usage_report import NO_KEY, UsageReport, by_day, sums
from app.domain.billing.usage_summary import KeyUse
from app.http.api_request import ApiRequest
from app.http.disconnects import LiveResponse

_HEAD = ("day", "kind", "key", "key_prefix", "requests", "succeeded", "failed", "credits")
_PERIODS = (7, 30, 90)


@get("/usage", opt=PERSON)
async def usage_page(
    page: NamedDependency[PageRequest], usage_report: NamedDependency[UsageReport], days: FromQuery[int] = 30
) -> Page:
    """The last days as a chart and as tables."""
    rows = await usage_report.last(page.request.user, days)
    daily = by_day(rows, days)
    return await page.show(
        "usage.html",
        days=days,
        periods=_PERIODS,
        chart=chart(daily),
        daily=[day for day in reversed(daily) if day.requests],
        by_kind=sums(rows, lambda row: row.kind.replace("_", " ")),
        by_key=sums(rows, _key),
    )


@get("/usage.csv", opt=PERSON)
async def usage_sheet(
    request: ApiRequest, usage_report: NamedDependency[UsageReport], days: FromQuery[int] = 30
) -> LiveResponse:
    """The last days as a CSV file."""
    rows = await usage_report.last(request.user, days)
    return csv_response("codevoice-usage.csv", _HEAD, each([_cells(row) for row in rows]))


def _key(row: KeyUse) -> str:
    return f"{row.key_name} ({row.prefix}…)" if row.prefix else NO_KEY


def _cells(row: KeyUse) -> tuple[object, ...]:
    counted = (row.requests, row.succeeded, row.failed, credits(row.spent))
    return (row.day, row.kind, row.key_name or NO_KEY, row.prefix or "", *counted)
