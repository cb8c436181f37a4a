"""Whether the object store is at work: looked at once a second while somebody asks, however many ask."""

from app.domain.errors import Unavailable
from app.domain.shared_value import SharedValue
from db.storage.objects import Objects, StoreError

_FRESH_S = 1.0  # a store may cost money a question
_STALE_S = 10.0
_WAIT_S = 0.25  # for a look under way, before the last one counts


class StoreHealth:
    """The last look at the store."""

    def __init__(self, store: Objects) -> None:
        self._store = store
        self._looks = SharedValue(self._look, fresh_s=_FRESH_S, stale_s=_STALE_S, wait_s=_WAIT_S)

    async def is_there(self) -> bool:
        """Whether it answers, and may be written to."""
        return await self._looks.current()

    async def require(self) -> None:
        """Raise Unavailable where it is known to be away, to refuse or to be full."""
        if not await self.is_there():
            raise store_away()

    async def _look(self) -> bool:
        try:
            await self._store.check()
        except StoreError:
            return False
        return True


def store_away() -> Unavailable:
    """The refusal of whatever needs the store."""
    return Unavailable("The audio store is out of reach. Please try again in a moment.")
