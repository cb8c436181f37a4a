"""The documentation pages: the guide and the API reference. They need no log-in."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.dashboard import code_snippets
from app.dashboard.pages.reference import Reference
from app.dashboard.rendering import ANYBODY, Pages
from app.domain.accounts.api_keys import ApiKeys
from app.domain.jobs.submission import SubmissionLimits
from app.domain.speech.service import SpeechLimits
from app.domain.transcription.service import UploadLimits
from app.http.api_request import ApiRequest
from app.http.rate_limit import RateLimits

_BODY: dict[str, object] = {"text": "Hello world from CodeVoice", "voice": "Emma"}


class Facts(Struct, frozen=True, kw_only=True):
    """The operator's settings that the guide and other pages show."""

    public_url: str
    speech: SpeechLimits
    rates: RateLimits
    submission: SubmissionLimits
    uploads: UploadLimits


def guide_routes(pages: Pages, keys: ApiKeys, reference: Reference, facts: Facts) -> list[HTTPRouteHandler]:
    """GET /docs and /docs/api."""

    @get("/docs", opt=ANYBODY, include_in_schema=False)
    async def guide_page(request: ApiRequest) -> Response[str]:
        who = request.scope["user"]
        url = code_snippets.address(facts.public_url, str(request.base_url))
        key = await keys.personal(who) if who else None
        return await pages.show(
            request,
            "docs.html",
            url=url,
            facts=facts,
            speech=code_snippets.speech(url=url, key=key, body=_BODY),
            has_key=key is not None,
        )

    @get("/docs/api", opt=ANYBODY, include_in_schema=False)
    async def reference_page(request: ApiRequest) -> Response[str]:
        url = code_snippets.address(facts.public_url, str(request.base_url))
        return await pages.show(request, "reference.html", groups=reference.groups(url))

    return [guide_page, reference_page]
