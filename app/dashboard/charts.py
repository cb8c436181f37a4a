"""Computes the bars of a chart: coordinates for an SVG that a template draws."""

from collections.abc import Sequence

from msgspec import Struct

from app.domain.billing.credits import in_words
from app.domain.billing.usage_summary import Day

_WIDTH, _HEIGHT = 720, 160
_TOP, _BOTTOM = 16, 18  # space for the labels of the scale and of the days
_MARK_EVERY = 7
_LEAST = 2  # height of the smallest bar
_GAP = 5


class Bar(Struct, frozen=True, kw_only=True):
    """The bar of one day."""

    x: float
    y: float
    height: float
    count: int
    title: str
    mark: str


class Line(Struct, frozen=True, kw_only=True):
    """One line of the scale, with its label."""

    y: float
    text: str


class Chart(Struct, frozen=True, kw_only=True):
    """Everything a template needs to draw it."""

    width: int
    height: int
    bar_width: float
    bars: list[Bar]
    lines: list[Line]


def chart(days: Sequence[Day]) -> Chart:
    """The chart of requests per day, the first day on the left."""
    most = max(2, *(day.requests for day in days))
    step, space = _WIDTH / len(days), _HEIGHT - _TOP - _BOTTOM
    floor = _HEIGHT - _BOTTOM

    def bar(place: int, day: Day) -> Bar:
        height = max(_LEAST, round(space * day.requests / most, 1))
        from_the_end = len(days) - 1 - place
        return Bar(
            x=round(place * step, 1),
            y=floor - height,
            height=height,
            count=day.requests,
            title=f"{day.date:%d %b}: {day.requests} requests, {in_words(day.spent)} credits",
            mark=f"{day.date:%d %b}" if from_the_end % _MARK_EVERY == _MARK_EVERY - 1 else "",
        )

    lines = [Line(y=round(floor - space * count / most, 1), text=f"{count:,}") for count in (most, most // 2)]
    return Chart(
        width=_WIDTH,
        height=_HEIGHT,
        bar_width=round(step - _GAP, 1),
        bars=[bar(place, day) for place, day in enumerate(days)],
        lines=lines,
    )
