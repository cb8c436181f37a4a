"""What is claimed next: one situation a test, then any course of things."""

import uuid
from collections.abc import Sequence
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from db.types import Claimed, SpeechParams
from workers.jobs.held import HeldJob, HeldJobs
from workers.jobs.slot_allocator import REST, BatchPlan, Beyond, SlotAllocator
from workers.settings import WorkerSettings

LINGER_MS, TURN_S = 5, 10
ROW_S_MAX = 4
FLOOD_S = 90  # one voice is requested without a pause
_numbers = count(1)


class Engine(Struct, kw_only=True):
    slots: int = 4
    extra_slots: int = 0
    live_slots: int = 0
    mixed_lanes: bool = False
    batched: bool = True


PLAIN = Engine(mixed_lanes=True, batched=False)


class Situation:
    """An allocator with its rows, a clock that is set by hand, and a switch that pauses claims."""

    def __init__(self, engine: Engine, *lanes: str, live: int = 0) -> None:
        self.now_s = 0.0
        self.is_paused = False
        self.rows = HeldJobs()
        self.slots = SlotAllocator(
            engine,
            self.rows,
            WorkerSettings(engine="", linger_ms=LINGER_MS, turn_s=TURN_S),
            is_paused=lambda: self.is_paused,
            clock=lambda: self.now_s,
        )
        self.slots.plan()  # while nothing runs: a turn begins
        self.held = [self.hold(lane, live=number < live) for number, lane in enumerate(lanes)]

    def hold(self, lane: str, *, live: bool = False) -> HeldJob:
        params, job = SpeechParams(text="", voice="", language=""), uuid.UUID(int=next(_numbers))
        [row] = self.rows.add([Claimed(id=job, attempt=1, owner=job, lane=lane, params=params, live=live)])
        return row

    def reserved(self) -> int:
        with self.slots.reservation() as reserved:
            return reserved


def decide(*lanes: str, engine: Engine, live: int = 0, turn_s: float = 0.0) -> BatchPlan:
    situation = Situation(engine, *lanes, live=live)
    situation.now_s += turn_s
    return situation.slots.plan()


def test_an_idle_engine_claims_at_once_whatever_voice_is_first() -> None:
    assert decide(engine=Engine()) == BatchPlan(limit=4)


def test_a_busy_one_voice_engine_waits_a_little_and_takes_more_of_its_voice() -> None:
    assert decide("ryan", "ryan", engine=Engine()) == BatchPlan(limit=2, lane="ryan", linger_ms=5)


def test_a_full_engine_claims_nothing() -> None:
    assert decide("a", "a", "a", "a", engine=Engine()) == REST


def test_an_engine_that_does_not_batch_claims_any_job_and_never_waits() -> None:
    assert decide("a", "b", engine=PLAIN) == BatchPlan(limit=2, any_lane=True)


def test_the_last_slots_are_for_live_jobs() -> None:
    def claimed(rows: int, files: int) -> BatchPlan:
        engine = Engine(slots=8, mixed_lanes=True, batched=False, live_slots=2)
        return decide(*["a"] * rows, engine=engine, live=rows - files)

    assert claimed(0, 0) == BatchPlan(limit=6, any_lane=True)
    assert claimed(6, 4) == BatchPlan(limit=2, any_lane=True)
    assert claimed(6, 6) == BatchPlan(limit=2, any_lane=True, live_only=True)
    assert claimed(8, 6) == REST


def test_beyond_the_slots_half_is_for_jobs_of_any_length_and_the_rest_for_short_ones() -> None:
    def spare(rows: int) -> Beyond:
        engine = Engine(mixed_lanes=True, batched=False, extra_slots=4)
        return Situation(engine, *["a"] * rows).slots.plan_beyond()

    assert [spare(rows) for rows in range(3, 10)] == [
        Beyond(limit=0),
        Beyond(limit=2),
        Beyond(limit=1),
        Beyond(limit=2, characters_max=1000),
        Beyond(limit=1, characters_max=1000),
        Beyond(limit=0, characters_max=1000),
        Beyond(limit=0, characters_max=1000),
    ]


def test_beyond_the_slots_jobs_may_begin_while_the_free_slots_are_for_live_jobs_alone() -> None:
    engine = Engine(mixed_lanes=True, batched=False, extra_slots=2, live_slots=2)
    assert Situation(engine, "a", "a").slots.plan_beyond() == Beyond(limit=3)


def test_an_engine_that_batches_takes_a_voice_together_and_fills_up_with_others() -> None:
    mixed = Engine(mixed_lanes=True)
    assert decide(engine=mixed) == BatchPlan(limit=4, fill=True)
    assert decide("a", engine=mixed) == BatchPlan(limit=3, fill=True, linger_ms=5)


def test_a_voice_that_had_its_turn_gives_way_to_the_others() -> None:
    assert decide("a", engine=Engine(), turn_s=10.0) == REST
    assert decide("a", "b", engine=Engine(mixed_lanes=True), turn_s=99.0) == BatchPlan(
        limit=2, fill=True, linger_ms=5
    )


def test_a_new_turn_begins_when_nothing_runs() -> None:
    situation = Situation(Engine(), "a")
    situation.now_s = 10.0
    assert situation.slots.plan() == REST
    situation.rows.ended(situation.held[0])
    situation.slots.plan()
    situation.hold("b")
    assert situation.slots.plan() == BatchPlan(limit=3, lane="b", linger_ms=5)


def test_while_paused_nothing_is_claimed_within_or_beyond_the_slots_or_by_a_commit() -> None:
    situation = Situation(Engine(mixed_lanes=True, batched=False, extra_slots=4), "a")
    situation.is_paused = True
    assert situation.slots.plan() == REST
    assert situation.slots.plan_beyond() == Beyond(limit=0)
    assert situation.reserved() == 0


def test_the_commit_of_a_result_may_claim_into_the_slots_that_are_free() -> None:
    assert Situation(PLAIN, "a").reserved() == 3
    assert Situation(PLAIN, *"aaaa").reserved() == 0


def test_the_commit_of_a_result_claims_nothing_for_an_engine_whose_claims_linger() -> None:
    assert Situation(Engine(), "a").reserved() == 0
    assert Situation(Engine(mixed_lanes=True), "a").reserved() == 0


def test_the_commit_of_a_result_claims_nothing_into_slots_for_live_jobs() -> None:
    assert Situation(Engine(mixed_lanes=True, batched=False, live_slots=3), "a").reserved() == 0


def test_the_commit_of_a_result_claims_nothing_while_another_thread_claims() -> None:
    situation = Situation(PLAIN, "a")
    with situation.slots.claiming:
        assert situation.reserved() == 0
    assert situation.reserved() == 3


def test_slots_reserved_for_a_commit_are_claimed_by_no_other_thread() -> None:
    situation = Situation(PLAIN, "a")
    with situation.slots.reservation():
        assert situation.slots.plan() == REST
        assert not situation.slots.claiming.locked()
    assert situation.slots.plan() == BatchPlan(limit=3, any_lane=True)


def test_a_commit_that_takes_long_loses_its_reservation() -> None:
    situation = Situation(PLAIN, "a")
    with situation.slots.reservation():
        assert not situation.slots.is_stuck()
        situation.now_s += 0.2
        assert situation.slots.is_stuck()
        assert situation.slots.plan() == BatchPlan(limit=3, any_lane=True)
    assert not situation.slots.is_stuck()


def test_a_commit_that_fails_releases_its_reservation() -> None:
    situation = Situation(PLAIN, "a")
    try:
        with situation.slots.reservation():
            raise ConnectionError
    except ConnectionError:
        assert situation.slots.plan() == BatchPlan(limit=3, any_lane=True)


class Job(Struct, eq=False):
    """Of a queue in which the fairest stands first."""

    fair: int
    lane: str
    runs_s: int
    head_s: int = 0  # for how long it was the first, and was not taken
    row: HeldJob | None = None  # while it runs


class Second(Struct, frozen=True):
    """What comes in one second: jobs with their places in the queue, their voices and their lengths."""

    arrivals: Sequence[tuple[int, str, int]]


def claimed(queue: list[Job], wanted: BatchPlan) -> list[Job]:
    """What a claim takes, and one more to fill up."""
    queue.sort(key=lambda job: job.fair)
    lane = wanted.lane or (queue[0].lane if queue else "")
    first = [job for job in queue if wanted.any_lane or job.lane == lane][: wanted.limit]
    rest = [job for job in queue if job not in first][: wanted.limit - len(first)]
    return first + (rest if wanted.fill and first else [])


SECONDS = st.lists(
    st.builds(
        Second, st.lists(st.tuples(st.integers(0, 50), st.sampled_from("abc"), st.integers(1, ROW_S_MAX)))
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(
    seconds=SECONDS,
    flood=st.booleans(),
    slots=st.integers(1, 8),
    mixed=st.booleans(),
    batched=st.booleans(),
)
def test_no_job_starves_no_slot_is_overfilled_and_no_job_lingers_alone(
    seconds: list[Second], flood: bool, slots: int, mixed: bool, batched: bool
) -> None:
    engine = Engine(slots=slots, mixed_lanes=mixed, batched=batched)
    situation = Situation(engine)
    queue: list[Job] = []
    running: list[Job] = []
    now_s, todo = 0, list(seconds)
    while todo or queue or running:
        if flood and now_s < FLOOD_S:
            queue.append(Job(now_s + 50, "a", ROW_S_MAX))
        if todo:
            # A queue place is a time to come: the later a job, the less can it pass those that wait.
            queue += [Job(now_s + place, lane, runs_s) for place, lane, runs_s in todo.pop(0).arrivals]
        situation.now_s = now_s
        wanted = situation.slots.plan()
        began = claimed(queue, wanted)
        check(wanted, began, running, queue, engine)
        for job in began:
            job.row = situation.hold(job.lane)
        queue = [job for job in queue if job not in began]
        for job in queue[:1]:
            job.head_s += 1
            assert job.head_s <= TURN_S + 2 * ROW_S_MAX
        for job in (running := running + began):
            job.runs_s -= 1
            if job.row and not job.runs_s:
                situation.rows.forget([job.row.attempt])
        running = [job for job in running if job.runs_s]
        now_s += 1


def check(wanted: BatchPlan, began: list[Job], running: list[Job], queue: list[Job], engine: Engine) -> None:
    assert len(running) + len(began) <= engine.slots
    assert wanted.linger_ms <= LINGER_MS
    assert not wanted.linger_ms or (running and engine.batched) or (running and not engine.mixed_lanes)
    if wanted.limit and wanted.lane is None and queue:
        assert began[0] is min(queue, key=lambda job: job.fair)
    if not engine.mixed_lanes:
        assert len({job.lane for job in running + began}) <= 1
    elif queue:
        assert len(began) == min(len(queue), engine.slots - len(running))  # no slot is left empty
