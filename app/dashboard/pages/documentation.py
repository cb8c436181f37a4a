"""The documentation pages: the guide and the API reference. They need no log-in."""

from litestar import get
from litestar.di import NamedDependency
from msgspec import Struct

from app.dashboard import code_snippets
from app.dashboard.pages.reference import Reference
from app.dashboard.rendering import ANYBODY, Page, PageRequest
from app.domain.accounts.api_keys import ApiKeys
from app.domain.jobs.submission import SubmissionLimits
from app.domain.speech.service import SpeechLimits
from app.http.rate_limit import RateLimits

_BODY: dict[str, object] = {"text": "Hello world from CodeVoice", "voice": "Emma"}


class Facts(Struct, frozen=True, kw_only=True):
    """The operator's settings that the guide and other pages show."""

    public_url: str
    speech: SpeechLimits
    rates: RateLimits
    submission: SubmissionLimits


@get("/docs", opt=ANYBODY)
async def guide_page(
    page: NamedDependency[PageRequest], keys: NamedDependency[ApiKeys], facts: NamedDependency[Facts]
) -> Page:
    """The guide, with the caller's own key in its examples."""
    who = page.request.scope["user"]
    url = code_snippets.address(facts.public_url, str(page.request.base_url))
    key = await keys.personal(who) if who else None
    snippets = code_snippets.speech(url=url, key=key, body=_BODY)
    return await page.show("docs.html", url=url, facts=facts, speech=snippets, has_key=key is not None)


@get("/docs/api", opt=ANYBODY)
async def reference_page(
    page: NamedDependency[PageRequest], reference: NamedDependency[Reference], facts: NamedDependency[Facts]
) -> Page:
    """The API reference."""
    url = code_snippets.address(facts.public_url, str(page.request.base_url))
    return await page.show("reference.html", groups=reference.groups(url))
