"""Which piece comes next, and that every reader gets the pieces in order, whichever finishes first."""

import threading
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

import pytest

from workers.engines.neural.model import Piece
from workers.engines.neural.queue import Job, Queue, Work
from workers.engines.protocol import Interrupted, Refused

RATE_HZ = 1000
SECOND = bytes(2 * RATE_HZ)
MANY, ONE = UUID(int=1), UUID(int=2)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> Queue:
    return Queue(RATE_HZ, files_at_once=2, unread_bytes_max=len(SECOND), now=clock)


def pieces(*texts: str) -> Iterator[Piece]:
    return (Piece(text=text, voice="v", language="en") for text in texts)


def taken(queue: Queue) -> Work:
    work = queue.take(0.01)
    assert work is not None
    return work


def spoken(work: Work, seconds: int = 1) -> str:
    for _ in range(seconds):
        work.give(SECOND)
    work.finish()
    return work.piece.text


def read(job: Job, frames: int) -> None:
    audio = iter(job)
    for _ in range(frames):
        next(audio)


def test_a_voice_that_is_about_to_stop_comes_before_those_that_have_not_begun(
    queue: Queue, clock: Clock
) -> None:
    begun = queue.add(pieces("begun 1", "begun 2"), live=True)
    spoken(taken(queue))
    read(begun, 1)
    queue.add(pieces("new 1"), live=True)
    clock.now += 0.6
    assert [taken(queue).piece.text for _ in range(2)] == ["begun 2", "new 1"]


def test_first_pieces_of_live_jobs_come_before_what_is_not_urgent_in_order(
    queue: Queue,
) -> None:
    queue.add(pieces("file"), live=False)
    early = queue.add(pieces("early 1", "early 2"), live=True)
    assert spoken(taken(queue)) == "early 1"
    read(early, 1)
    queue.add(pieces("second 1"), live=True)
    queue.add(pieces("third 1"), live=True)
    assert [taken(queue).piece.text for _ in range(4)] == ["second 1", "third 1", "early 2", "file"]


def test_the_live_job_that_would_run_dry_first_is_next(queue: Queue, clock: Clock) -> None:
    jobs = [queue.add(pieces(f"{name} 1", f"{name} 2"), live=True) for name in ("a", "b", "c")]
    for job, seconds in zip(jobs, (4, 2, 3), strict=True):
        spoken(taken(queue), seconds)
        read(job, seconds)
    clock.now += 1.6
    assert [taken(queue).piece.text for _ in range(3)] == ["b 2", "c 2", "a 2"]


def test_a_live_job_with_a_large_buffer_shares_with_files_the_least_served_first(queue: Queue) -> None:
    live = queue.add(pieces("live 1", "live 2"), live=True)
    spoken(taken(queue), 11)
    read(live, 11)
    queue.add(pieces("file"), live=False)
    assert [taken(queue).piece.text for _ in range(2)] == ["file", "live 2"]


def test_files_take_turns(queue: Queue) -> None:
    jobs = [queue.add(pieces(*[f"{name} {n}" for n in range(3)]), live=False) for name in "ab"]
    order: list[str] = []
    for _ in range(6):
        work = taken(queue)
        order.append(spoken(work))
        read(work.job, 1)
    assert order == ["a 0", "b 0", "a 1", "b 1", "a 2", "b 2"]
    assert [list(job) for job in jobs] == [[], []]


def test_files_leave_children_free_for_live_jobs(queue: Queue) -> None:
    queue.add(pieces("a", "b", "c"), live=False)
    assert [taken(queue).piece.text for _ in range(2)] == ["a", "b"]
    assert queue.take(0.01) is None
    queue.add(pieces("live"), live=True)
    assert taken(queue).piece.text == "live"


def test_nothing_is_made_ahead_for_a_reader_that_does_not_read(queue: Queue) -> None:
    job = queue.add(pieces("1", "2"), live=True)
    spoken(taken(queue), 2)
    assert queue.take(0.01) is None
    read(job, 1)
    assert taken(queue).piece.text == "2"


def test_a_reader_that_reads_again_wakes_a_child(queue: Queue) -> None:
    job = queue.add(pieces("1", "2"), live=True)
    spoken(taken(queue), 2)
    got: list[Work | None] = []
    waiter = threading.Thread(target=lambda: got.append(queue.take(20)))
    waiter.start()
    read(job, 2)
    waiter.join(20)
    assert [work and work.piece.text for work in got] == ["2"]


def test_audio_comes_in_text_order_whichever_piece_finishes_first(queue: Queue) -> None:
    job = queue.add(pieces("1", "2"), live=False)
    first, second = taken(queue), taken(queue)
    second.give(b"22")
    second.finish()
    first.give(b"11")
    first.give(b"12")
    first.finish()
    assert queue.take(0.01) is None
    assert list(job) == [b"11", b"12", b"22"]


def test_an_empty_text_gives_no_audio(queue: Queue) -> None:
    job = queue.add(pieces(), live=True)
    assert queue.take(0.01) is None
    assert list(job) == []


def refusing() -> Iterator[Piece]:
    yield from pieces("1")
    raise Refused("unsupported_script")


def mistaken() -> Iterator[Piece]:
    yield from pieces("1")
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("made", "error"), [(refusing, "unsupported_script"), (mistaken, "pieces")], ids=["refused", "mistake"]
)
def test_pieces_that_cannot_be_made_end_their_job_after_what_was_given(
    queue: Queue, made: Callable[[], Iterator[Piece]], error: str
) -> None:
    job = queue.add(made(), live=True)
    spoken(taken(queue))
    assert queue.take(0.01) is None
    audio = iter(job)
    assert next(audio) == SECOND
    with pytest.raises((Refused, Interrupted), match=error):
        next(audio)


def test_a_closed_job_gets_no_child_and_wakes_its_reader(queue: Queue) -> None:
    job = queue.add(pieces("1", "2"), live=True)
    work = taken(queue)
    seen: list[str] = []

    def reading() -> None:
        try:
            list(job)
        except Interrupted as error:
            seen.append(str(error))

    reader = threading.Thread(target=reading)
    reader.start()
    job.close()
    reader.join(20)
    assert seen == ["closed"]
    assert not work.give(SECOND)
    work.finish()
    assert queue.take(0.01) is None
    job.close()


def test_closing_ends_a_running_piece_where_it_can_be_interrupted(queue: Queue) -> None:
    job = queue.add(pieces("1", "2"), live=True)
    ended: list[str] = []
    works: Sequence[Work] = [taken(queue), taken(queue)]
    for work in works:
        work.end_child = lambda work=work: ended.append(work.piece.text)
    works[0].finish()
    job.close()
    assert ended == ["2"]


def test_a_closed_queue_ends_all_jobs_and_those_to_come(queue: Queue) -> None:
    before = queue.add(pieces("1"), live=True)
    queue.close()
    after = queue.add(pieces("1"), live=True)
    for job in (before, after):
        with pytest.raises(Interrupted):
            list(job)
    assert queue.take() is None


def take_all(queue: Queue, clock: Clock, *, each_s: float, pieces: int) -> list[str]:
    """Takes `pieces` pieces one after the other; each occupies a child for `each_s` seconds."""
    order: list[str] = []
    for _ in range(pieces):
        work = taken(queue)
        clock.now += each_s
        order.append(spoken(work))
        read(work.job, 1)
    return order


def test_files_of_two_accounts_share_the_time_whatever_their_number(queue: Queue, clock: Clock) -> None:
    for name in "abc":
        queue.add(pieces(*[f"many {name} {n}" for n in range(4)]), live=False, owner=MANY)
    queue.add(pieces(*[f"one {n}" for n in range(4)]), live=False, owner=ONE)

    order = take_all(queue, clock, each_s=1.0, pieces=8)
    assert sum(text.startswith("one") for text in order) == 4


def test_a_late_account_is_next_once_another_has_had_more(queue: Queue, clock: Clock) -> None:
    for number in range(5):
        queue.add(pieces(f"many {number} 0", f"many {number} 1"), live=False, owner=MANY)
    take_all(queue, clock, each_s=1.0, pieces=2)
    queue.add(pieces("late 0", "late 1"), live=False, owner=ONE)

    order = take_all(queue, clock, each_s=1.0, pieces=4)
    assert order == ["many 2 0", "late 0", "many 3 0", "late 1"]


def test_a_short_text_comes_before_long_ones_of_accounts_that_have_had_as_much(
    queue: Queue, clock: Clock
) -> None:
    for number in range(5):
        queue.add(pieces(f"long {number}"), live=False, owner=UUID(int=100 + number))
    queue.add(pieces("short"), live=False, owner=ONE, is_short=True)

    assert taken(queue).piece.text == "short"


def test_live_jobs_of_an_account_ahead_come_after_anothers_first_sound(queue: Queue, clock: Clock) -> None:
    begun = queue.add(pieces("begun 0", "begun 1"), live=True, owner=MANY)
    queue.add(pieces("other file"), live=False, owner=ONE)
    take_all(queue, clock, each_s=1.0, pieces=1)
    queue.add(pieces("new 0"), live=True, owner=ONE)

    assert [taken(queue).piece.text for _ in range(3)] == ["new 0", "begun 1", "other file"]
    assert begun.engine_s == 1.0


def test_the_cost_of_a_piece_is_charged_when_it_begins(queue: Queue, clock: Clock) -> None:
    """Else several children in a row would take the same account's pieces."""
    for owner in (MANY, ONE):
        queue.add(pieces(*[f"{owner.int} {n}" for n in range(3)]), live=False, owner=owner)
    take_all(queue, clock, each_s=10.0, pieces=2)

    assert sorted(taken(queue).piece.text for _ in range(2)) == ["1 1", "2 1"]
