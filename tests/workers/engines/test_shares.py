"""Which account has had least of an engine's time, also with late and idle accounts."""

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


def test_a_late_account_starts_level_with_the_least_served_one(shares: Shares) -> None:
    shares.join(C)
    assert (shares.had_s(A), shares.had_s(B), shares.had_s(C)) == (5.0, 3.0, 3.0)


def test_a_returning_account_starts_level_with_the_least_served_one(shares: Shares) -> None:
    shares.leave(A)
    shares.join(A)
    assert shares.had_s(A) == 3.0


def test_nothing_is_remembered_once_all_accounts_have_left(shares: Shares) -> None:
    shares.leave(A)
    shares.leave(B)
    shares.join(A)
    assert shares.had_s(A) == 0.0


def test_an_account_that_does_not_wait_saves_up_no_time(shares: Shares) -> None:
    assert shares.least_s({A}, set()) == 5.0
    assert shares.had_s(B) == 5.0


def test_a_running_account_keeps_its_deficit(shares: Shares) -> None:
    assert shares.least_s({A}, {B}) == 5.0
    assert shares.had_s(B) == 3.0


def test_an_account_is_counted_until_its_last_utterance_ends(shares: Shares) -> None:
    shares.join(B)
    shares.leave(B)
    shares.join(C)
    assert shares.had_s(C) == 3.0


def test_an_account_that_has_left_is_charged_nothing(shares: Shares) -> None:
    shares.leave(A)
    shares.leave(B)
    shares.charge(A, 1.0)
    shares.join(A)
    assert shares.had_s(A) == 0.0
