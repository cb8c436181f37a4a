"""Quotes: which price is in force for what, and the most it comes to."""

from datetime import UTC, datetime
from typing import Literal

import pytest

from app.domain.prices import bound, in_force
from db.rows import Price

Unit = Literal["request", "1000_characters", "audio_second"]


def price(version: int, kind: str, engine: str, unit: Unit = "request", amount: int = 7) -> Price:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    return Price(version=version, kind=kind, engine=engine, unit=unit, amount=amount, valid_from=start)


BOOK = [
    price(1, "*", "*"),
    price(2, "speech", "*"),
    price(3, "*", "xtts"),
    price(4, "speech", "xtts"),
]


@pytest.mark.parametrize(
    ("kind", "engine", "version"),
    [("speech", "xtts", 4), ("speech", "espeak", 2), ("cloning", "xtts", 3), ("cloning", "espeak", 1)],
)
def test_the_nearest_price_is_in_force(kind: str, engine: str, version: int) -> None:
    assert in_force(BOOK, kind, engine).version == version


@pytest.mark.parametrize(("unit", "due"), [("request", 7), ("1000_characters", 11), ("audio_second", 19)])
def test_the_bound_is_rounded_up(unit: Unit, due: int) -> None:
    assert bound(price(1, "*", "*", unit), characters=1500, audio_ms_max=2600) == due
