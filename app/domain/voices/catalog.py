"""The catalog of voices and transcription engines that workers have published, seconds old at most."""

import asyncio
from collections.abc import Container, Iterable, Mapping, Sequence

import asyncpg
import msgspec
import structlog
from msgspec import Struct

from app.domain.database import Database
from app.domain.errors import Unavailable
from app.domain.shared_value import SharedValue
from app.domain.voices.stock_voices import PROFILES, Profile
from db.postgres.queries import query
from db.types import Capabilities, Voice

_FRESH_S = 1.0
_RENEWED_S = 0.1  # unknown voices may be requested endlessly
_STALE_S = 10.0  # served at most this old while the database responds


class Offer(Struct, frozen=True):
    """A voice, and the engine that speaks it; `present`: that engine is running now.

    `spoken_by`: where `voice` is a name that stands for another voice, that voice's id.
    """

    voice: Voice
    engine: Capabilities
    present: bool = True
    spoken_by: str = ""

    @property
    def voice_used(self) -> str:
        """The id of the voice that speaks."""
        return self.spoken_by or self.voice.id


class Catalog(Struct, frozen=True):
    """Every voice once, in order (`by_name`: by id and name, case-folded), and the transcription engines.

    `chosen`: the operator's names for voices, case-folded. `standing`: the voice that speaks now for each
    profile of the stock names. `resolution.resolve` reads both.
    """

    offers: tuple[Offer, ...]
    by_name: Mapping[str, Offer]
    transcribers: tuple[Capabilities, ...] = ()
    transcribers_away: tuple[Capabilities, ...] = ()  # restarting, or lost: they may come back
    chosen: Mapping[str, str] = {}
    standing: Mapping[Profile, Offer] = {}

    def find(self, voice: str) -> Offer | None:
        """The voice of that id or name; stock names and operators' names are not resolved here."""
        return self.by_name.get(voice.strip().casefold())


class Catalogs:
    """Keeps the catalog fresh: at most one query at a time, and one a second.

    `chosen`: the operator's choice of voices, by case-folded name.
    """

    def __init__(self, database: Database, chosen: Mapping[str, str]) -> None:
        self._database = database
        self._chosen = chosen
        self._texts: tuple[tuple[str, ...], frozenset[str], frozenset[str]] = (), frozenset(), frozenset()
        self._shared = SharedValue(self._read, fresh_s=_FRESH_S, stale_s=_STALE_S)

    async def current(self) -> Catalog:
        """The catalog: fresh, or some seconds old while it is read again.

        Raises Unavailable if none was ever read.
        """
        known = self._shared.value
        try:
            found = await self._shared.current()
            return found if found.offers else await self._shared.read()
        except Unavailable:
            if known is None or not known.offers:  # an old catalog is better than none
                raise
            return known

    async def renewed(self) -> Catalog:
        """The catalog, read after this call began; such reads are at least a tenth of a second apart."""
        await self._shared.ended()  # it may have begun before the engine the caller needs was published
        await asyncio.sleep(_RENEWED_S - self._shared.age_s)
        known = self._shared.value
        try:
            return await self._shared.read()
        except Unavailable:
            if known is None or not known.offers:
                raise
            return known

    async def _read(self) -> Catalog:
        async with self._database.connection() as connection:
            rows = await connection.fetch(query("engines"))
        texts = tuple(str(row["capabilities"]) for row in sorted(rows, key=_is_absent))
        present = frozenset(str(row["capabilities"]) for row in rows if row["present"])
        away = frozenset(str(row["capabilities"]) for row in rows if row["recent"] and not row["present"])
        known = self._shared.value
        if known is not None and (texts, present, away) == self._texts:
            return known
        self._texts = texts, present, away
        return msgspec.structs.replace(catalog_of(texts, present, away), chosen=self._chosen)


def _is_absent(row: asyncpg.Record) -> bool:
    return not row["present"]


def catalog_of(texts: Sequence[str], present: Container[str], away: Container[str] = ()) -> Catalog:
    """The catalog of what engines published. Running engines come first, so they win a name that two offer.

    `away`: engines not running that may come back.
    """
    offers: dict[str, Offer] = {}
    by_name: dict[str, Offer] = {}
    engines = {text: _capabilities(text) for text in texts}
    for text, engine in engines.items():
        for voice in engine.voices if engine and engine.kind == "speech" else ():
            offer = Offer(voice, engine, text in present) if engine else None
            if offer and voice.languages:
                offers.setdefault(voice.id.casefold(), offer)
    for identifier, offer in offers.items():
        by_name[identifier] = offer
    for offer in offers.values():
        by_name.setdefault(offer.voice.name.casefold(), offer)
    transcribing = [(text, one) for text, one in engines.items() if one and one.kind == "transcription"]
    known = tuple(offers.values())
    return Catalog(
        known,
        by_name,
        transcribers=tuple(engine for text, engine in transcribing if text in present),
        transcribers_away=tuple(engine for text, engine in transcribing if text in away),
        standing=_standing(known),
    )


def _standing(offers: Sequence[Offer]) -> dict[Profile, Offer]:
    """The best voice for each profile."""
    if not offers:
        return {}
    return {profile: best_offer(profile, offers) for profile in PROFILES}


def best_offer(profile: Profile, offers: Iterable[Offer]) -> Offer:
    """The one that fits a profile best; of equals, the first."""
    return min(offers, key=lambda offer: profile.rank(offer.voice, present=offer.present))


def _capabilities(text: str) -> Capabilities | None:
    try:
        return msgspec.json.decode(text, type=Capabilities)
    except msgspec.DecodeError:  # published by a worker of another version
        structlog.get_logger().error("capabilities_not_understood")
        return None
