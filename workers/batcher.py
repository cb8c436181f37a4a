"""Which jobs go together, and how long to wait for more: pure decisions, no clock, no database."""

from collections.abc import Sequence

from msgspec import Struct


class Load(Struct, frozen=True, kw_only=True):
    """What an engine is doing now. `lanes`: of each running row; `turn_s`: since their lane came on."""

    slots: int
    mixed: bool  # rows of different lanes may run at once
    batched: bool  # rows begun together cost less than one by one
    lanes: Sequence[str]
    turn_s: float = 0.0


class Plan(Struct, frozen=True):
    """What to claim next: up to `limit` jobs of one lane, or of any.

    That lane is `lane`, or else the fairest job's. `fill`: what it leaves goes to any lane's fairest jobs.
    """

    limit: int
    lane: str | None = None
    any_lane: bool = False
    fill: bool = False
    linger_ms: int = 0


REST = Plan(limit=0)


def plan(load: Load, *, linger_ms: int, turn_s: float) -> Plan:
    """Fill the free slots, always beginning with the fairest job, except within a lane's turn.

    An engine that does not batch takes any jobs, at once. One that does takes those of the fairest job's lane
    together, then others' where it mixes lanes; while rows run, it lingers a little for a fuller batch.
    Where it does not mix, it adds to the lane that runs, until that has had its turn: then nothing new, so
    that the others come when its last row has left.
    """
    free = load.slots - len(load.lanes)
    if free <= 0:
        return REST
    if load.mixed and not load.batched:
        return Plan(limit=free, any_lane=True)
    if not load.lanes:
        return Plan(limit=free, fill=load.mixed)
    if load.mixed:
        return Plan(limit=free, fill=True, linger_ms=linger_ms)
    if load.turn_s >= turn_s:
        return REST
    return Plan(limit=free, lane=load.lanes[0], linger_ms=linger_ms)
