"""The first page: credits, usage and recent jobs; without a log-in, an introduction."""

from litestar import get
from litestar.di import NamedDependency

from app.dashboard.charts import chart
from app.dashboard.pages.voices import current_catalog
from app.dashboard.rendering import ANYBODY, Page, PageRequest
from app.domain.billing.usage_summary import UsageSummaries
from app.domain.voices.catalog import Catalogs

_SHOWN = 8


@get("/", opt=ANYBODY)
async def overview(
    page: NamedDependency[PageRequest],
    usage_summaries: NamedDependency[UsageSummaries],
    catalogs: NamedDependency[Catalogs],
) -> Page:
    """The overview of the account, or the introduction."""
    who = page.request.scope["user"]
    if who is None:
        voices, languages = await _sizes(catalogs)
        return await page.show("welcome.html", voice_count=voices, language_count=languages)
    usage = await usage_summaries.last_days(who)
    recent = (await usage_summaries.recent(who))[:_SHOWN]
    return await page.show("overview.html", usage=usage, chart=chart(usage.by_day), recent=recent)


async def _sizes(catalogs: Catalogs) -> tuple[int, int]:
    """The numbers of voices and languages; zeros if the database is unreachable, so that the page works."""
    offers = (await current_catalog(catalogs)).offers
    return len(offers), len({tag.partition("-")[0] for offer in offers for tag in offer.voice.languages})
