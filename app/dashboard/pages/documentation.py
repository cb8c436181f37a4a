"""The documentation pages: the guide and the API reference. They need no log-in."""

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.dashboard import code_snippets
from app.dashboard.pages.reference import Reference
from app.dashboard.rendering import ANYBODY, Pages
from app.domain.accounts.api_keys import ApiKeys
from app.http.api_request import ApiRequest

_BODY: dict[str, object] = {"text": "Hello world from CodeVoice", "voice": "Emma"}


class Facts(Struct, frozen=True, kw_only=True):
    """The operator's settings that the guide and other pages show."""

    public_url: str
    text_characters_max: int
    posts_per_minute: int
    account_posts_per_minute: int
    posts_burst: int
    jobs_waiting_max: int
    upload_bytes_max: int
    upload_audio_s_max: int


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
