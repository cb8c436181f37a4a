"""ElevenLabs' `GET /v2/voices`, and `GET /v1/user/subscription`, counted in credits."""

from math import ceil
from typing import Annotated, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from app.api.codevoice.schemas import VoiceView
from app.api.codevoice.speech import voice_view
from app.domain.accounts.service import Accounts
from app.domain.billing.credits import credits as in_credits
from app.domain.billing.credits import spendable
from app.domain.billing.usage_summary import UsageSummaries
from app.domain.identity.scopes import ACCOUNT
from app.domain.speech.samples import Samples
from app.domain.voices.catalog import Catalogs
from app.domain.voices.listing import VoiceFilter, list_voices
from app.http.api_request import ApiRequest
from app.http.json_response import NO_STORE

_UNLIMITED = 2**31 - 1  # the SDK reads an integer


class VoicePage(Struct, frozen=True, kw_only=True):
    """GET /v2/voices."""

    voices: list[VoiceView]
    has_more: bool
    total_count: int
    next_page_token: str | None


class Subscription(Struct, frozen=True, kw_only=True):
    """GET /v1/user/subscription. Its characters are our credits; features we do not have are 0 or false."""

    tier: str
    character_count: int  # credits used this month
    character_limit: int  # credits used, plus all that can be spent now
    next_character_count_reset_unix: int
    status: Literal["active"] = "active"
    max_credit_limit_extension: int = 0
    can_extend_character_limit: bool = False
    allowed_to_extend_character_limit: bool = False
    voice_slots_used: int = 0
    professional_voice_slots_used: int = 0
    professional_voice_slots_used_in_workspace: int = 0
    voice_limit: int = 0
    voice_add_edit_counter: int = 0
    professional_voice_limit: int = 0
    can_extend_voice_limit: bool = False
    can_use_instant_voice_cloning: bool = False
    can_use_professional_voice_cloning: bool = False
    current_overage: dict[str, str] = msgspec.field(
        default_factory=lambda: {"amount": "0", "currency": "usd"}
    )
    open_invoices: tuple[str, ...] = ()
    has_open_invoices: bool = False


@get("/v2/voices", opt={"public": True})
async def search_voices(
    catalogs: NamedDependency[Catalogs],
    samples: NamedDependency[Samples],
    page_size: Annotated[int, QueryParameter(ge=1, le=100)] = 10,
    next_page_token: FromQuery[str | None] = None,
    search: FromQuery[str] = "",
) -> VoicePage:
    """Search the voices."""
    wanted = VoiceFilter(words=search, limit=page_size, cursor=next_page_token)
    page = list_voices(await catalogs.current(), wanted, "elevenlabs")
    return VoicePage(
        voices=[voice_view(offer, samples.address(offer.voice)) for offer in page.offers],
        has_more=page.has_more,
        total_count=page.total,
        next_page_token=page.offers[-1].voice.id if page.has_more else None,
    )


@get("/v1/user/subscription", opt={"scope": ACCOUNT}, response_headers=NO_STORE)
async def subscription(
    request: ApiRequest,
    accounts: NamedDependency[Accounts],
    usage_summaries: NamedDependency[UsageSummaries],
) -> Subscription:
    """Show the account's credits as a subscription."""
    _, balance = await accounts.me(request.user)
    used = ceil(in_credits(await usage_summaries.spent_this_month(request.user)))
    left = spendable(balance)
    return Subscription(
        tier=balance.plan,
        character_count=used,
        character_limit=_UNLIMITED if left is None else used + int(in_credits(left)),
        next_character_count_reset_unix=int(balance.resets_at.timestamp()),
    )
