"""Every route of the dashboard."""

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.api.admin.context import AdminContext
from app.dashboard.form_token import session_route
from app.dashboard.pages.admin import AdminPages, admin_page_routes
from app.dashboard.pages.admin_invites import invite_page_routes
from app.dashboard.pages.documentation import Facts, guide_routes
from app.dashboard.pages.history import HistoryPages, history_routes
from app.dashboard.pages.keys_and_credits import CreditsPage, credits_routes
from app.dashboard.pages.log_in import entry_routes
from app.dashboard.pages.overview import overview_route
from app.dashboard.pages.passwords import password_page_routes, verification_page_routes
from app.dashboard.pages.playground import Playground, playground_routes
from app.dashboard.pages.reference import Reference
from app.dashboard.pages.transcription import transcribe_route
from app.dashboard.pages.usage import usage_routes
from app.dashboard.pages.voices import voices_route
from app.dashboard.rendering import Pages, redirects_to_pages
from app.dashboard.static_files import Statics, static_route
from app.domain.accounts.api_keys import ApiKeys
from app.domain.accounts.email_verification import EmailVerification
from app.domain.accounts.password_reset import PasswordReset
from app.domain.accounts.service import Accounts
from app.domain.billing.price_book import PriceBook
from app.domain.billing.statement import Statement
from app.domain.billing.usage_report import UsageReport
from app.domain.billing.usage_summary import UsageSummaries
from app.domain.jobs.history import History
from app.domain.speech.audio_urls import AudioUrls
from app.domain.speech.service import SpeechService
from app.domain.speech.waveform_cache import WaveformCache
from app.domain.transcription.stored_transcripts import StoredTranscripts
from app.domain.voices.catalog import Catalogs
from app.domain.voices.model_downloads import ModelStates
from app.http.rate_limit import RateLimitGuard


class DashboardParts(Struct, frozen=True, kw_only=True):
    """The components that the dashboard needs."""

    pages: Pages
    statics: Statics
    accounts: Accounts
    resets: PasswordReset
    verification: EmailVerification
    rate_limit: RateLimitGuard
    keys: ApiKeys
    speech: SpeechService
    catalogs: Catalogs
    models: ModelStates
    prices: PriceBook
    reports: UsageSummaries
    history: History
    transcripts: StoredTranscripts
    addresses: AudioUrls
    waveforms: WaveformCache
    ledger: Statement
    usage: UsageReport
    context: AdminContext
    reference: Reference
    facts: Facts


def page_routes(parts: DashboardParts) -> list[HTTPRouteHandler]:
    """Every route of the dashboard, and the GET redirects of its forms."""
    pages = parts.pages
    playground = Playground(pages, parts.catalogs, parts.prices, parts.speech, parts.keys, parts.facts)
    routes = [
        static_route(parts.statics),
        overview_route(pages, parts.reports, parts.catalogs),
        session_route(pages),
        *entry_routes(pages, parts.accounts, parts.rate_limit),
        *password_page_routes(pages, parts.resets, parts.rate_limit),
        *verification_page_routes(pages, parts.verification, parts.rate_limit),
        *playground_routes(playground),
        voices_route(pages, parts.catalogs, parts.models),
        transcribe_route(pages, parts.catalogs, parts.prices, parts.facts),
        *credits_routes(CreditsPage(pages, parts.keys, parts.ledger)),
        *usage_routes(pages, parts.usage),
        *guide_routes(pages, parts.keys, parts.reference, parts.facts),
        *admin_page_routes(AdminPages(pages, parts.context)),
        *invite_page_routes(AdminPages(pages, parts.context)),
        *history_routes(
            HistoryPages(
                pages, parts.history, parts.speech, parts.addresses, parts.waveforms, parts.transcripts
            )
        ),
    ]
    return [*routes, *redirects_to_pages(routes)]
