"""The batcher's decisions: one situation a test, then any course of things."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from workers.jobs.batching import REST, BatchPlan, Beyond, Load, beyond, plan

LINGER_MS, TURN_S = 5, 10
ROW_S_MAX = 4
FLOOD_S = 90  # one voice is requested without a pause


def decide(
    *lanes: str, slots: int = 4, mixed: bool = False, batched: bool = True, turn_s: float = 0.0
) -> BatchPlan:
    load = Load(slots=slots, mixed=mixed, batched=batched, lanes=lanes, turn_s=turn_s)
    return plan(load, linger_ms=LINGER_MS, turn_s=TURN_S)


def test_an_idle_engine_claims_at_once_whatever_voice_is_first() -> None:
    assert decide() == BatchPlan(limit=4)


def test_a_busy_one_voice_engine_waits_a_little_and_takes_more_of_its_voice() -> None:
    assert decide("ryan", "ryan") == BatchPlan(limit=2, lane="ryan", linger_ms=5)


def test_a_full_engine_claims_nothing() -> None:
    assert decide("a", "a", "a", "a") == REST


def test_an_engine_that_does_not_batch_claims_any_job_and_never_waits() -> None:
    assert decide("a", "b", mixed=True, batched=False) == BatchPlan(limit=2, any_lane=True)


def test_the_last_slots_are_for_live_jobs() -> None:
    def claimed(rows: int, files: int) -> BatchPlan:
        load = Load(slots=8, mixed=True, batched=False, lanes=["a"] * rows, files=files, live_slots=2)
        return plan(load, linger_ms=LINGER_MS, turn_s=TURN_S)

    assert claimed(0, 0) == BatchPlan(limit=6, any_lane=True)
    assert claimed(6, 4) == BatchPlan(limit=2, any_lane=True)
    assert claimed(6, 6) == BatchPlan(limit=2, any_lane=True, live_only=True)
    assert claimed(8, 6) == REST


def test_beyond_the_slots_half_is_for_jobs_of_any_length_and_the_rest_for_short_ones() -> None:
    def spare(rows: int) -> Beyond:
        return beyond(Load(slots=4, mixed=True, batched=False, lanes=["a"] * rows, extra_slots=4))

    assert [spare(rows) for rows in range(4, 10)] == [
        Beyond(limit=2),
        Beyond(limit=1),
        Beyond(limit=2, characters_max=1000),
        Beyond(limit=1, characters_max=1000),
        Beyond(limit=0, characters_max=1000),
        Beyond(limit=0, characters_max=1000),
    ]


def test_an_engine_that_batches_takes_a_voice_together_and_fills_up_with_others() -> None:
    assert decide(mixed=True) == BatchPlan(limit=4, fill=True)
    assert decide("a", mixed=True) == BatchPlan(limit=3, fill=True, linger_ms=5)


def test_a_voice_that_had_its_turn_gives_way_to_the_others() -> None:
    assert decide("a", turn_s=10.0) == REST
    assert decide("a", "b", mixed=True, turn_s=99.0) == BatchPlan(limit=2, fill=True, linger_ms=5)


class Job(Struct, eq=False):
    """Of a queue in which the fairest stands first."""

    fair: int
    lane: str
    runs_s: int
    head_s: int = 0  # for how long it was the first, and was not taken


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
    queue: list[Job] = []
    running: list[Job] = []
    turn_s, now_s, todo = 0, 0, list(seconds)
    while todo or queue or running:
        if flood and now_s < FLOOD_S:
            queue.append(Job(now_s + 50, "a", ROW_S_MAX))
        if todo:
            # A queue place is a time to come: the later a job, the less can it pass those that wait.
            queue += [Job(now_s + place, lane, runs_s) for place, lane, runs_s in todo.pop(0).arrivals]
        turn_s = turn_s + 1 if running else 0
        load = Load(
            slots=slots, mixed=mixed, batched=batched, lanes=[job.lane for job in running], turn_s=turn_s
        )
        wanted = plan(load, linger_ms=LINGER_MS, turn_s=TURN_S)
        began = claimed(queue, wanted)
        check(wanted, began, running, queue, load)
        queue = [job for job in queue if job not in began]
        for job in queue[:1]:
            job.head_s += 1
            assert job.head_s <= TURN_S + 2 * ROW_S_MAX
        running = [job for job in running + began if job.runs_s > 1]
        for job in running:
            job.runs_s -= 1
        now_s += 1


def check(wanted: BatchPlan, began: list[Job], running: list[Job], queue: list[Job], load: Load) -> None:
    assert len(running) + len(began) <= load.slots
    assert wanted.linger_ms <= LINGER_MS
    assert not wanted.linger_ms or (running and load.batched) or (running and not load.mixed)
    if wanted.limit and wanted.lane is None and queue:
        assert began[0] is min(queue, key=lambda job: job.fair)
    if not load.mixed:
        assert len({job.lane for job in running + began}) <= 1
    elif queue:
        assert len(began) == min(len(queue), load.slots - len(running))  # no slot is left empty
