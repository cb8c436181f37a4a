"""What can be spoken and heard now: what workers have published, seconds old at most."""

import asyncio
import time
from collections.abc import Container, Mapping, Sequence

import asyncpg
import msgspec
import structlog
from msgspec import Struct

from app.domain.errors import Unavailable
from app.domain.record import Record
from db.queries import query
from db.rows import Capabilities, Voice

_FRESH_S = 1.0
_RENEWED_S = 0.1  # a voice nobody has may be asked for without end
_STALE_S = 10.0  # served at most this old while the database answers


class Offer(Struct, frozen=True):
    """A voice, and the engine that speaks it."""

    voice: Voice
    engine: Capabilities


class Catalog(Struct, frozen=True):
    """Every voice once, in order; `by_name` has ids and names without case. Then the recognisers."""

    offers: tuple[Offer, ...]
    by_name: Mapping[str, Offer]
    transcribers: tuple[Capabilities, ...] = ()

    def find(self, voice: str) -> Offer | None:
        """The voice of that id or name."""
        return self.by_name.get(voice.strip().casefold())


class Catalogs:
    """Keeps the catalog fresh: at most one question to the database at a time, and one a second."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._catalog = Catalog((), {})
        self._texts: tuple[tuple[str, ...], frozenset[str]] = (), frozenset()
        self._read_at = -1e9
        self._reading: asyncio.Task[None] | None = None

    async def current(self) -> Catalog:
        """The catalog: fresh, or some seconds old while it is read anew.

        Raises Unavailable where none was ever read.
        """
        age_s = time.monotonic() - self._read_at
        if age_s > _FRESH_S or not self._catalog.offers:
            reading = self._start_reading()
            if age_s > _STALE_S or not self._catalog.offers:
                await self._finish(reading)
        return self._catalog

    async def renewed(self) -> Catalog:
        """The catalog, read anew unless that was only just done."""
        if time.monotonic() - self._read_at > _RENEWED_S:
            await self._finish(self._start_reading())
        return self._catalog

    def _start_reading(self) -> asyncio.Task[None]:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._read_ended)
        return self._reading

    def _read_ended(self, task: asyncio.Task[None]) -> None:
        self._reading = None
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, Unavailable):
            structlog.get_logger().error("catalog_not_read", exc_info=error)

    async def _finish(self, reading: asyncio.Task[None]) -> None:
        try:
            await asyncio.shield(reading)
        except Unavailable:
            if not self._catalog.offers:  # an old catalog is better than none
                raise

    async def _read(self) -> None:
        async with self._record.connection() as connection:
            rows = await connection.fetch(query("engines"))
        texts = tuple(str(row["capabilities"]) for row in sorted(rows, key=_is_absent))
        present = frozenset(str(row["capabilities"]) for row in rows if row["present"])
        self._read_at = time.monotonic()
        if (texts, present) != self._texts:
            self._catalog, self._texts = _catalog(texts, present), (texts, present)


def _is_absent(row: asyncpg.Record) -> bool:
    return not row["present"]


def _catalog(texts: Sequence[str], present: Container[str]) -> Catalog:
    """The voices of the speaking engines. Engines at work come first, so theirs is a name that two offer."""
    offers: dict[str, Offer] = {}
    by_name: dict[str, Offer] = {}
    engines = {text: _capabilities(text) for text in texts}
    for engine in engines.values():
        for voice in engine.voices if engine and engine.kind == "speech" else ():
            offer = Offer(voice, engine) if engine else None
            if offer and voice.languages:
                offers.setdefault(voice.id.casefold(), offer)
    for identifier, offer in offers.items():
        by_name[identifier] = offer
    for offer in offers.values():
        by_name.setdefault(offer.voice.name.casefold(), offer)
    hearing = (engine for text, engine in engines.items() if text in present)
    transcribers = tuple(engine for engine in hearing if engine and engine.kind == "transcription")
    return Catalog(tuple(offers.values()), by_name, transcribers)


def _capabilities(text: str) -> Capabilities | None:
    try:
        return msgspec.json.decode(text, type=Capabilities)
    except msgspec.DecodeError:
        structlog.get_logger().error("capabilities_not_understood")  # of a worker of another version
        return None
