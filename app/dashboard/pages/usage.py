"""The usage page: requests and credits by day, key and kind of job; also as a CSV file."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromQuery

from app.dashboard.charts import chart
from app.dashboard.csv_tables import csv_response, each
from app.dashboard.rendering import PERSON, Pages
from app.domain.billing.credits import credits
from app.domain.billing.usage_report import NO_KEY, UsageReport, by_day, sums
from app.domain.billing.usage_summary import KeyUse
from app.http.api_request import ApiRequest
from app.http.disconnects import LiveResponse

_HEAD = ("day", "kind", "key", "key_prefix", "requests", "succeeded", "failed", "credits")
_PERIODS = (7, 30, 90)


def usage_routes(pages: Pages, usage: UsageReport) -> list[HTTPRouteHandler]:
    """GET /usage and /usage.csv."""

    @get("/usage", opt=PERSON, include_in_schema=False)
    async def usage_page(request: ApiRequest, days: FromQuery[int] = 30) -> Response[str]:
        rows = await usage.last(request.scope["user"], days)
        daily = by_day(rows, days)
        return await pages.show(
            request,
            "usage.html",
            days=days,
            periods=_PERIODS,
            chart=chart(daily),
            daily=[day for day in reversed(daily) if day.requests],
            by_kind=sums(rows, lambda row: row.kind.replace("_", " ")),
            by_key=sums(rows, _key),
        )

    @get("/usage.csv", opt=PERSON, include_in_schema=False)
    async def usage_sheet(request: ApiRequest, days: FromQuery[int] = 30) -> LiveResponse:
        rows = await usage.last(request.scope["user"], days)
        return csv_response("codevoice-usage.csv", _HEAD, each([_cells(row) for row in rows]))

    return [usage_page, usage_sheet]


def _key(row: KeyUse) -> str:
    return f"{row.key_name} ({row.prefix}…)" if row.prefix else NO_KEY


def _cells(row: KeyUse) -> tuple[object, ...]:
    counted = (row.requests, row.succeeded, row.failed, credits(row.spent))
    return (row.day, row.kind, row.key_name or NO_KEY, row.prefix or "", *counted)
