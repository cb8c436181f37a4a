"""Quotes: which price is in force, and the maximum charge."""

from datetime import UTC, datetime
from typing import Literal

import pytest

from app.domain.billing.price_book import bound, in_force, price_in_words
from db.types import Price

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
def test_the_most_specific_price_is_in_force(kind: str, engine: str, version: int) -> None:
    assert in_force(BOOK, kind, engine).version == version


@pytest.mark.parametrize(("unit", "due"), [("request", 7), ("1000_characters", 11), ("audio_second", 19)])
def test_the_bound_is_rounded_up(unit: Unit, due: int) -> None:
    assert bound(price(1, "*", "*", unit), characters=1500, audio_ms_max=2600) == due


@pytest.mark.parametrize(
    ("unit", "amount", "words"),
    [
        ("request", 1_000_000, "A request costs 1 credit"),
        ("1000_characters", 2_500_000, "A request costs 2.5 credits for 1,000 characters"),
        ("audio_second", 100_000, "A request costs 0.1 credits a second of audio"),
    ],
)
def test_a_price_is_described_in_a_sentence(unit: Unit, amount: int, words: str) -> None:
    assert price_in_words(price(1, "*", "*", unit, amount), of="A request") == words
