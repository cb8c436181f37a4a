"""An account's own jobs: list, read, and follow to their end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

from msgspec import Struct

from app.domain.database import Database
from app.domain.errors import Invalid, Unavailable
from app.domain.identity.principals import Principal, Principals
from app.domain.jobs.history import STATES, History, OwnJob
from app.domain.jobs.notifications import JobNotifications
from app.domain.jobs.status_polling import StatusPolling
from app.domain.speech.service import read_job_id

PAGE_MAX = 100
_PAGE = 20
_QUIET_S = 15.0  # until a keep-alive
_UNCHECKED_S = 1.0  # until the caller's access is checked again


class JobPage(Struct, frozen=True):
    """Jobs, newest first. `next_cursor` None: this is the last page."""

    jobs: list[OwnJob]
    next_cursor: UUID | None


class Jobs:
    """Reads jobs, by the index of an owner's jobs."""

    def __init__(self, database: Database, signals: JobNotifications, principals: Principals) -> None:
        self._history = History(database)
        self._principals = principals
        self._polling = StatusPolling(database, signals)

    async def page(
        self, who: Principal, *, state: str | None, limit: int | None, cursor: str | None
    ) -> JobPage:
        """One page, of one state where given. Raises Invalid."""
        if state is not None and state not in STATES:
            raise Invalid(f"A status is one of {', '.join(STATES)}.", field="status", limit=list(STATES))
        wanted = _PAGE if limit is None else limit
        if not 1 <= wanted <= PAGE_MAX:
            raise Invalid(f"The limit must be from 1 to {PAGE_MAX}.", field="limit", limit=[1, PAGE_MAX])
        found = await self._history.list(who, state=state, kind=None, limit=wanted, cursor=cursor)
        return JobPage(found.items, UUID(found.next_cursor) if found.next_cursor else None)

    async def one(self, who: Principal, job_id: str) -> OwnJob:
        """One job. Raises NotFound for another account's."""
        return await self._history.one(who, read_job_id(job_id))

    async def follow(
        self, who: Principal, job: OwnJob, check: Callable[[], Awaitable[Principal]]
    ) -> AsyncIterator[OwnJob | None]:
        """Yield the job now and at each change, until it has ended; None is a keep-alive without a change.

        Raises what `check` raises, within a second after the caller has lost access.
        """
        with self._polling.following(job) as follower, self._principals.watching(who, follower.woken):
            yield job
            wait_s = 0.0  # the job may have changed before the subscription
            while not job.is_over:
                is_quiet = not await follower.wait(wait_s) and wait_s == _QUIET_S
                try:
                    wait_s = _until(await check())
                except Unavailable:  # access cannot be checked: yield nothing meanwhile
                    wait_s = _UNCHECKED_S
                    continue
                if follower.job != job:
                    yield (job := follower.job)
                elif is_quiet:
                    yield None


def _until(who: Principal) -> float:
    """Seconds until the next keep-alive, or the key's end."""
    if who.ends_at is None:
        return _QUIET_S
    return min(_QUIET_S, max(0.0, (who.ends_at - datetime.now(UTC)).total_seconds()))
