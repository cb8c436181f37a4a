"""Who has had least of an engine's time, and what coming late or having nothing to do does not change."""

from uuid import UUID

import pytest

from workers.engines.shares import Shares

A, B, C = (UUID(int=number) for number in (1, 2, 3))


@pytest.fixture
def shares() -> Shares:
    """A and B are there; A has had 5 s, B 3 s."""
    made = Shares()
    for owner in (A, B):
        made.join(owner)
    made.charge(A, 5.0)
    made.charge(B, 3.0)
    return made


def test_who_comes_late_begins_where_the_least_served_is(shares: Shares) -> None:
    shares.join(C)
    assert (shares.had_s(A), shares.had_s(B), shares.had_s(C)) == (5.0, 3.0, 3.0)


def test_who_comes_again_is_not_behind_those_that_were_there_all_the_time(shares: Shares) -> None:
    shares.leave(A)
    shares.join(A)
    assert shares.had_s(A) == 3.0


def test_nothing_is_remembered_once_nobody_is_there(shares: Shares) -> None:
    shares.leave(A)
    shares.leave(B)
    shares.join(A)
    assert shares.had_s(A) == 0.0


def test_who_does_not_wait_saves_up_no_time(shares: Shares) -> None:
    assert shares.least_s({A}, set()) == 5.0
    assert shares.had_s(B) == 5.0


def test_who_is_at_work_keeps_what_it_had_less(shares: Shares) -> None:
    assert shares.least_s({A}, {B}) == 5.0
    assert shares.had_s(B) == 3.0


def test_an_account_is_there_until_its_last_utterance_is_over(shares: Shares) -> None:
    shares.join(B)
    shares.leave(B)
    shares.join(C)
    assert shares.had_s(C) == 3.0


def test_who_has_left_is_charged_nothing(shares: Shares) -> None:
    shares.leave(A)
    shares.leave(B)
    shares.charge(A, 1.0)
    shares.join(A)
    assert shares.had_s(A) == 0.0
