"""Decides what a worker claims next, for which of its slots. No database; the clock is given."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from msgspec import Struct

from workers.jobs.held import HeldJobs
from workers.pipelines.protocol import SlotLimits
from workers.settings import WorkerSettings


class BatchPlan(Struct, frozen=True):
    """What to claim next: up to `limit` jobs of one lane, or of any.

    That lane is `lane`, or else the fairest job's. `fill`: the remaining limit goes to any lane's fairest
    jobs. `live_only`: only jobs with a listener.
    """

    limit: int
    lane: str | None = None
    any_lane: bool = False
    live_only: bool = False
    fill: bool = False
    linger_ms: int = 0


class Beyond(Struct, frozen=True):
    """How many accounts without a running job may start one beyond the slots, and of what length."""

    limit: int
    characters_max: int | None = None


REST = BatchPlan(limit=0)
SHORT_CHARACTERS_MAX = 1_000
_AT_ONCE_MAX = 8  # preparing a long text takes 16 ms, and a live job may arrive meanwhile
_STUCK_S = 0.1


class SlotAllocator:
    """The slots of one engine: which are free, and which are reserved for jobs that a commit claims.

    `claiming` is held by the thread that claims or begins jobs. `is_due`: jobs may wait that nobody has
    claimed. A wake-up sets it, and so does a claim that got as many jobs as it asked for; it is cleared just
    before a claim. Whoever sets it, frees a slot or releases `claiming` then claims if it is due; so no job
    is missed. The reservation belongs to the one thread that writes results.
    """

    def __init__(
        self,
        engine: SlotLimits,
        rows: HeldJobs,
        settings: WorkerSettings,
        is_paused: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._rows = rows
        self._settings = settings
        self._is_paused = is_paused
        self._clock = clock
        self.claiming = threading.Lock()
        self.is_due = False
        self._reserved = 0
        self._commit_began: float | None = None
        self._turn_began = 0.0

    def plan(self) -> BatchPlan:
        """Fill the free slots, always beginning with the fairest job, except within a lane's turn.

        An engine that does not batch takes any jobs, at once, a few at a time; the last `live_slots` are
        reserved for live jobs. An engine that batches takes those of the fairest job's lane together, then
        others if it mixes lanes; while rows run, it lingers a little for a fuller batch. If it does not mix
        lanes, it adds to the lane that runs until that has had its turn; then it starts nothing new, so that
        the others follow when its last row ends.
        """
        engine, rows, slots = self._engine, self._rows.working(), self._slots()
        if not rows:
            self._turn_began = self._clock()
        free = slots - len(rows)
        if free <= 0 or self._is_paused():
            return REST
        if engine.mixed_lanes and not engine.batched:
            for_files = slots - engine.live_slots - sum(not row.live for row in rows)
            limit = min(free, for_files if for_files > 0 else free, _AT_ONCE_MAX)
            return BatchPlan(limit=limit, any_lane=True, live_only=for_files <= 0)
        if not rows:
            return BatchPlan(limit=free, fill=engine.mixed_lanes)
        if engine.mixed_lanes:
            return BatchPlan(limit=free, fill=True, linger_ms=self._settings.linger_ms)
        if self._clock() - self._turn_began >= self._settings.turn_s:
            return REST
        return BatchPlan(limit=free, lane=rows[0].job.lane, linger_ms=self._settings.linger_ms)

    def plan_beyond(self) -> Beyond:
        """Once the slots are taken: a job of any length for half of the extra slots, short ones for the rest.

        So long jobs of many accounts, begun in turns, leave a slot for a short one of yet another account.
        """
        within = self.plan()
        if self._is_paused() or (within.limit and not within.live_only):
            return Beyond(limit=0)
        extra = self._engine.extra_slots
        free = self._slots() + extra - len(self._rows.working())
        if (for_long := free - extra // 2) > 0:
            return Beyond(limit=min(for_long, _AT_ONCE_MAX))
        return Beyond(limit=max(0, min(free, _AT_ONCE_MAX)), characters_max=SHORT_CHARACTERS_MAX)

    @contextmanager
    def reservation(self) -> Generator[int]:
        """During the commit of results, reserve slots for the jobs it claims: how many, of any lane.

        None while another thread claims, or for an engine whose claims linger.
        """
        self._commit_began = self._clock()
        if self.claiming.acquire(blocking=False):
            wanted = self.plan()
            self._reserved = wanted.limit if wanted.any_lane and not wanted.live_only else 0
            self.claiming.release()
        try:
            yield self._reserved
        finally:
            self._reserved, self._commit_began = 0, None

    def is_stuck(self) -> bool:
        """Whether the commit under way takes long, for example because another transaction locks a wallet."""
        began = self._commit_began
        return began is not None and self._clock() - began > _STUCK_S

    def _slots(self) -> int:
        return self._engine.slots - (0 if self.is_stuck() else self._reserved)
