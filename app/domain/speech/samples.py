"""Voice samples: made once, by a job of the installation's own account, and kept in the store."""

import asyncio
from functools import partial
from hashlib import sha256
from urllib.parse import quote
from uuid import UUID

from msgspec import Struct

from app.domain.database import Database
from app.domain.errors import NotFound, Unavailable
from app.domain.identity.principals import Principal
from app.domain.jobs.notifications import JobNotifications
from app.domain.speech.outcomes import failure
from app.domain.speech.sample_texts import sample_text
from app.domain.speech.service import SpeechService
from app.domain.speech.validation import SpeechRequest
from app.domain.store_health import StoreHealth, store_away
from app.domain.voices.catalog import Catalogs, Offer
from app.domain.voices.resolution import find
from db.postgres.queries import query
from db.storage.objects import Objects, StoreError
from db.types import JobStatus, Voice

SYSTEM = UUID("00000000-0000-4000-8000-0000000000c5")
FORMAT = "mp3"
_ROUTE = "sample"
_WAIT_S = 60.0
_WHO = Principal(account=SYSTEM, user_type="system", tier=1, admin=False, suspended=False, epoch=0)


class Sample(Struct, frozen=True, kw_only=True):
    """A sample's object. `by_name`: requested by a name, which may stand for another voice later."""

    object: str
    audio_bytes: int
    engine: str
    by_name: bool


class Samples:
    """Finds samples, and makes missing ones."""

    def __init__(
        self,
        database: Database,
        catalogs: Catalogs,
        speech: SpeechService,
        signals: JobNotifications,
        store: Objects,
        store_state: StoreHealth,
        *,
        public_url: str,
    ) -> None:
        self._database = database
        self._catalogs = catalogs
        self._speech = speech
        self._signals = signals
        self._store = store
        self._store_state = store_state
        self._public_url = public_url.rstrip("/")
        self._making: dict[str, asyncio.Task[int]] = {}

    def address(self, voice: Voice) -> str:
        """The URL of a voice's sample: absolute if the operator has set a public URL."""
        return f"{self._public_url}/samples/{quote(voice.id, safe='')}.{FORMAT}"

    async def sample(self, voice: str) -> Sample:
        """The sample of a voice, by id or name. Raises NotFound and Unavailable."""
        offer = find(await self._catalogs.current(), voice)
        if offer is None:
            raise NotFound("There is no such voice.")
        key = _object(offer)
        size = await self._size(key)
        if size is None:
            size = await self._made_now(offer, key)
        by_name = offer.voice.id.casefold() != voice.strip().casefold()
        return Sample(object=key, audio_bytes=size, engine=offer.engine.engine, by_name=by_name)

    async def _made_now(self, offer: Offer, key: str) -> int:
        """The size in bytes once the sample is made; concurrent callers share one job."""
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = asyncio.create_task(self._make(offer, key))
            making.add_done_callback(lambda done: self._made(key, done))
        return await asyncio.shield(making)

    def _made(self, key: str, done: "asyncio.Task[int]") -> None:
        del self._making[key]
        if not done.cancelled():
            done.exception()  # retrieved, since perhaps no caller waits any more

    async def _size(self, key: str) -> int | None:
        try:
            return await self._store.size(key)
        except StoreError as error:
            raise store_away() from error

    async def _make(self, offer: Offer, key: str) -> int:
        """Make the sample; return its size in bytes. By its Idempotency-Key, all processes share one job."""
        await self._store_state.require()
        async with self._database.connection() as connection:
            await connection.execute(query("open_system_account"), SYSTEM)
        language = offer.voice.languages[0]
        wanted = SpeechRequest(
            text=sample_text(language), voice=offer.voice.id, language=language, format=FORMAT
        )
        ticket = await self._speech.submit(_WHO, wanted, key, route=_ROUTE)
        poll = partial(self._final, str(ticket.job_id))
        job = await self._signals.until(ticket.job_id, poll, within_s=_WAIT_S)
        if job is None:
            raise Unavailable("The sample is not made yet. Please ask again in a moment.")
        if job.state != "completed":
            raise failure(job)
        try:
            await self._store.copy(job.object or "", key)
        except StoreError as error:
            raise store_away() from error
        return job.audio_bytes or 0

    async def _final(self, job_id: str) -> JobStatus | None:
        job = await self._speech.status(job_id)
        return None if job.state in ("queued", "processing") else job


def _object(offer: Offer) -> str:
    """The sample's object key: a new one for another engine, voice or text."""
    language = offer.voice.languages[0]
    identity = "\0".join((offer.engine.engine, offer.voice.id, language, sample_text(language)))
    return f"samples/{sha256(identity.encode()).hexdigest()[:32]}.{FORMAT}"
