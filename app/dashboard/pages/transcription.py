"""The page that transcribes recordings and the microphone; its script calls the API."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from app.dashboard.pages.documentation import Facts
from app.dashboard.rendering import PERSON, Pages
from app.domain.billing.price_book import ANY, PriceBook, price_in_words
from app.domain.errors import Unavailable
from app.domain.voices.catalog import Catalogs
from app.http.api_request import ApiRequest


def transcribe_route(pages: Pages, catalogs: Catalogs, prices: PriceBook, facts: Facts) -> HTTPRouteHandler:
    """GET /transcribe."""

    @get("/transcribe", opt=PERSON, include_in_schema=False)
    async def transcribe_page(request: ApiRequest) -> Response[str]:
        engine = await _engine(catalogs)
        return await pages.show(
            request,
            "transcribe.html",
            facts=facts,
            file_price=price_in_words(await prices.price("transcription", engine), of="A recording"),
            talk_price=price_in_words(await prices.price("live_transcript", "browser"), of="A live talk"),
        )

    return transcribe_page


async def _engine(catalogs: Catalogs) -> str:
    """The name of the engine that transcribes if no language is requested."""
    try:
        found = (await catalogs.current()).transcribers
    except Unavailable:
        return ANY
    return max(found, key=lambda engine: len(engine.languages)).engine if found else ANY
