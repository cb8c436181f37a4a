"""Which jobs are batched, and how long to wait for more: pure decisions, no clock, no database."""

from collections.abc import Sequence

from msgspec import Struct


class Load(Struct, frozen=True, kw_only=True):
    """What an engine is doing now. `lanes`: one per running row; `turn_s`: since their lane's turn began."""

    slots: int
    mixed: bool  # rows of different lanes may run at the same time
    batched: bool  # rows begun together cost less than one by one
    lanes: Sequence[str]
    turn_s: float = 0.0
    files: int = 0  # running rows without a listener
    live_slots: int = 0  # that such rows may not use
    extra_slots: int = 0  # rows beyond the slots, which take turns with the rows that have one


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
AT_ONCE_MAX = 8  # preparing a long text takes 16 ms, and a live job may arrive meanwhile


def plan(load: Load, *, linger_ms: int, turn_s: float) -> BatchPlan:
    """Fill the free slots, always beginning with the fairest job, except within a lane's turn.

    An engine that does not batch takes any jobs, at once, a few at a time; the last `live_slots` are reserved
    for live jobs. An engine that batches takes those of the fairest job's lane together, then others if it
    mixes lanes; while rows run, it lingers a little for a fuller batch. If it does not mix lanes, it adds to
    the lane that runs until that has had its turn; then it starts nothing new, so that the others follow when
    its last row ends.
    """
    free = load.slots - len(load.lanes)
    if free <= 0:
        return REST
    if load.mixed and not load.batched:
        for_files = load.slots - load.live_slots - load.files
        if for_files <= 0:
            return BatchPlan(limit=min(free, AT_ONCE_MAX), any_lane=True, live_only=True)
        return BatchPlan(limit=min(free, for_files, AT_ONCE_MAX), any_lane=True)
    if not load.lanes:
        return BatchPlan(limit=free, fill=load.mixed)
    if load.mixed:
        return BatchPlan(limit=free, fill=True, linger_ms=linger_ms)
    if load.turn_s >= turn_s:
        return REST
    return BatchPlan(limit=free, lane=load.lanes[0], linger_ms=linger_ms)


def beyond(load: Load) -> Beyond:
    """Once the slots are taken: a job of any length for half of the extra slots, short ones for the rest.

    So long jobs of many accounts, begun in turns, leave a slot for a short one of yet another account.
    """
    free = load.slots + load.extra_slots - len(load.lanes)
    for_long = free - load.extra_slots // 2
    if for_long > 0:
        return Beyond(limit=min(for_long, AT_ONCE_MAX))
    return Beyond(limit=max(0, min(free, AT_ONCE_MAX)), characters_max=SHORT_CHARACTERS_MAX)
