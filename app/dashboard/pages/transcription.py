"""The page that transcribes recordings and the microphone; its script calls the API."""

from litestar import get
from litestar.di import NamedDependency

from app.dashboard.pages.voices import current_catalog
from app.dashboard.rendering import PERSON, Page, PageRequest
from app.domain.billing.price_book import ANY, PriceBook, price_in_words
from app.domain.transcription.service import UploadLimits
from app.domain.voices.catalog import Catalogs


@get("/transcribe", opt=PERSON)
async def transcribe_page(
    page: NamedDependency[PageRequest],
    catalogs: NamedDependency[Catalogs],
    prices: NamedDependency[PriceBook],
    upload_limits: NamedDependency[UploadLimits],
) -> Page:
    """The page, with both prices."""
    file = price_in_words(await prices.price("transcription", await _engine(catalogs)), of="A recording")
    talk = price_in_words(await prices.price("live_transcript", "browser"), of="A live talk")
    return await page.show("transcribe.html", uploads=upload_limits, file_price=file, talk_price=talk)


async def _engine(catalogs: Catalogs) -> str:
    """The name of the engine that transcribes if no language is requested."""
    found = (await current_catalog(catalogs)).transcribers
    return max(found, key=lambda engine: len(engine.languages)).engine if found else ANY
