"""Every page there is."""

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.api.admin.desk import Desk
from app.dashboard.admin import AdminPages, admin_page_routes
from app.dashboard.credits import CreditsPage, credits_routes
from app.dashboard.entry import entry_routes
from app.dashboard.guide import Facts, guide_routes
from app.dashboard.history import history_routes
from app.dashboard.overview import overview_route
from app.dashboard.pages import Pages
from app.dashboard.playground import Playground, playground_routes
from app.dashboard.reference import Reference
from app.dashboard.statics import Statics, static_route
from app.dashboard.transcribe import transcribe_route
from app.dashboard.usage import usage_routes
from app.dashboard.voices import voices_route
from app.domain.accounts import Accounts
from app.domain.api_keys import ApiKeys
from app.domain.audio import AudioAddresses
from app.domain.catalog import Catalogs
from app.domain.history import History
from app.domain.own_ledger import OwnLedger
from app.domain.prices import PriceBook
from app.domain.resets import Resets
from app.domain.speech import Speech
from app.domain.usage import UsageReports
from app.domain.usage_rows import UsageRows
from app.gate import Gate
from db.objects import Objects


class DashboardParts(Struct, frozen=True, kw_only=True):
    """What the pages stand on."""

    pages: Pages
    statics: Statics
    accounts: Accounts
    resets: Resets
    gate: Gate
    keys: ApiKeys
    speech: Speech
    catalogs: Catalogs
    prices: PriceBook
    reports: UsageReports
    history: History
    addresses: AudioAddresses
    store: Objects
    ledger: OwnLedger
    usage: UsageRows
    desk: Desk
    reference: Reference
    facts: Facts


def page_routes(parts: DashboardParts) -> list[HTTPRouteHandler]:
    """The dashboard, from `/` down."""
    pages = parts.pages
    playground = Playground(pages, parts.catalogs, parts.prices, parts.speech, parts.keys, parts.facts)
    return [
        static_route(parts.statics),
        overview_route(pages, parts.reports, parts.catalogs),
        *entry_routes(pages, parts.accounts, parts.resets, parts.gate),
        *playground_routes(playground),
        voices_route(pages, parts.catalogs),
        transcribe_route(pages, parts.catalogs, parts.prices, parts.facts),
        *credits_routes(CreditsPage(pages, parts.keys, parts.ledger)),
        *usage_routes(pages, parts.usage),
        *guide_routes(pages, parts.keys, parts.reference, parts.facts),
        *admin_page_routes(AdminPages(pages, parts.desk)),
        *history_routes(pages, parts.history, parts.speech, parts.addresses, parts.store),
    ]
