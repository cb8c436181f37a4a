"""Which jobs go together, and how long to wait for more: pure decisions, no clock, no database."""

from collections.abc import Sequence

from msgspec import Struct


class Load(Struct, frozen=True, kw_only=True):
    """What an engine is doing now. `lanes`: of each running row; `turn_s`: since their lane came on."""

    slots: int
    mixed: bool
    lanes: Sequence[str]
    turn_s: float = 0.0


class Plan(Struct, frozen=True):
    """What to claim next: up to `limit` jobs of `lane` (None: the fairest job's, or any where mixed)."""

    limit: int
    lane: str | None = None
    linger_ms: int = 0


REST = Plan(limit=0)


def plan(load: Load, *, linger_ms: int, turn_s: float) -> Plan:
    """Fill the free slots: at once where the engine is idle or mixes voices, else in groups of one voice.

    A voice that has had its turn gets no new rows, so that the others' come when its last has left.
    """
    free = load.slots - len(load.lanes)
    if free <= 0:
        return REST
    if load.mixed or not load.lanes:
        return Plan(limit=free)
    if load.turn_s >= turn_s:
        return REST
    return Plan(limit=free, lane=load.lanes[0], linger_ms=linger_ms)
