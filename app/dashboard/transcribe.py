"""The page on which recordings and microphones become text; its script asks the API."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from app.api.bodies import AnyRequest
from app.dashboard.pages import PERSON, Pages


def transcribe_route(pages: Pages) -> HTTPRouteHandler:
    """GET /transcribe."""

    @get("/transcribe", opt=PERSON, include_in_schema=False)
    async def transcribe_page(request: AnyRequest) -> Response[str]:
        return await pages.show(request, "transcribe.html")

    return transcribe_page
