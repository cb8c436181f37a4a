"""Every page there is."""

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.dashboard.entry import entry_routes
from app.dashboard.history import history_routes
from app.dashboard.overview import overview_route
from app.dashboard.pages import Pages
from app.dashboard.playground import Playground, playground_routes
from app.dashboard.statics import Statics, static_route
from app.domain.accounts import Accounts
from app.domain.api_keys import ApiKeys
from app.domain.audio import AudioAddresses
from app.domain.catalog import Catalogs
from app.domain.history import History
from app.domain.resets import Resets
from app.domain.speech import Speech
from app.domain.usage import UsageReports
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
    reports: UsageReports
    history: History
    addresses: AudioAddresses
    store: Objects
    public_url: str
    characters_max: int


def page_routes(parts: DashboardParts) -> list[HTTPRouteHandler]:
    """The dashboard, from `/` down."""
    playground = Playground(
        parts.pages, parts.catalogs, parts.speech, parts.keys, parts.public_url, parts.characters_max
    )
    return [
        static_route(parts.statics),
        overview_route(parts.pages, parts.reports, parts.catalogs),
        *entry_routes(parts.pages, parts.accounts, parts.resets, parts.gate),
        *playground_routes(playground),
        *history_routes(parts.pages, parts.history, parts.speech, parts.addresses, parts.store),
    ]
