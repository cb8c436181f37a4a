"""The first page: credits, usage and recent jobs; without a log-in, an introduction."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from app.dashboard.charts import chart
from app.dashboard.rendering import ANYBODY, Pages
from app.domain.billing.usage_summary import UsageSummaries
from app.domain.errors import Unavailable
from app.domain.voices.catalog import Catalogs
from app.http.api_request import ApiRequest

_SHOWN = 8


def overview_route(pages: Pages, reports: UsageSummaries, catalogs: Catalogs) -> HTTPRouteHandler:
    """GET /."""

    @get("/", opt=ANYBODY, include_in_schema=False)
    async def overview(request: ApiRequest) -> Response[str]:
        who = request.scope["user"]
        if who is None:
            voices, languages = await _sizes(catalogs)
            return await pages.show(request, "welcome.html", voice_count=voices, language_count=languages)
        usage = await reports.last_days(who)
        recent = await reports.recent(who)
        return await pages.show(
            request, "overview.html", usage=usage, chart=chart(usage.by_day), recent=recent[:_SHOWN]
        )

    return overview


async def _sizes(catalogs: Catalogs) -> tuple[int, int]:
    """The numbers of voices and languages; zeros if the database is unreachable, so that the page works."""
    try:
        offers = (await catalogs.current()).offers
    except Unavailable:
        return 0, 0
    return len(offers), len({tag.partition("-")[0] for offer in offers for tag in offer.voice.languages})
