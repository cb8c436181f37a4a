"""The object store's health: checked at most once a second, and only while callers need it."""

from app.domain.errors import Unavailable
from app.domain.shared_value import SharedValue
from db.storage.objects import Objects, StoreError

_FRESH_S = 1.0  # a store may charge for each request
_STALE_S = 10.0
_WAIT_S = 0.25  # for a check under way, before the last result is used


class StoreHealth:
    """The result of the last check of the store."""

    def __init__(self, store: Objects) -> None:
        self._store = store
        self._health = SharedValue(self._check, fresh_s=_FRESH_S, stale_s=_STALE_S, wait_s=_WAIT_S)

    async def is_there(self) -> bool:
        """Whether the store responds and is writable."""
        return await self._health.current()

    async def require(self) -> None:
        """Raise Unavailable if the store is known to be out of reach, to refuse requests or to be full."""
        if not await self.is_there():
            raise store_away()

    async def _check(self) -> bool:
        try:
            await self._store.check()
        except StoreError:
            return False
        return True


def store_away() -> Unavailable:
    """The error for any request that needs the store while it is out of reach."""
    return Unavailable("The audio store is out of reach. Please try again in a moment.")
