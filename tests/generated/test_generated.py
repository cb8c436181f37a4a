"""Generated texts through the real engine, as many as a run of all tests can wait for."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from workers.engines.espeak.engine import EspeakEngine

from .cases import LENGTH_MAX, case
from .shapes import SHAPES
from .speaking import Speaker, outcomes
from .total import total

PART, PARTS = 126, 16
SHORTER = 500  # most are no longer: a text of 5,000 characters can be an hour of speech


@pytest.fixture
def speaker() -> Iterator[Speaker]:
    with closing(EspeakEngine()) as engine:
        yield Speaker(engine, compared_every=4)


@pytest.mark.parametrize("part", range(PARTS))
def test_any_text_is_spoken_whole_and_no_process_dies(speaker: Speaker, part: int) -> None:
    numbers = range(part * PART, (part + 1) * PART)
    cases = (case(n, speaker.languages, SHORTER if n % 50 else LENGTH_MAX) for n in numbers)
    all_outcomes = list(outcomes(speaker, cases, threads=4))
    bad = [outcome for outcome in all_outcomes if outcome.verdict not in ("whole", "silent")]
    assert [outcome for outcome in bad if outcome.verdict in ("died", "refused")] == []
    assert len(bad) <= 2, bad


def test_cases_have_every_shape_and_lengths_from_one_to_thousands() -> None:
    cases = [case(number, ["en-US"]) for number in range(1000)]
    assert Counter(each.shape for each in cases).keys() == SHAPES.keys()
    lengths = [len(each.text) for each in cases]
    assert min(lengths) == 1
    assert max(lengths) <= LENGTH_MAX
    assert 0.4 < sum(length < 70 for length in lengths) / len(lengths) < 0.6
    assert case(7, ["en-US"]) == case(7, ["en-US"])


def test_reports_of_consecutive_runs_are_summed_up() -> None:
    failure = {"number": 7, "verdict": "short"}
    one = _report(0, Counter(whole=8, silent=1, short=1), [failure])
    two = _report(10, Counter(whole=9, refused=1), [{"number": 12, "verdict": "refused"}])
    summed = total([two, one])
    assert (summed["cases"], summed["runs"], summed["first"], summed["deaths"]) == (20, 2, 0, 0)
    assert summed["whole_share"] == 17 / 19
    assert summed["by_shape"] == {"words": Counter(whole=17, silent=1, short=1, refused=1)}
    assert [failure["number"] for failure in summed["failures"]] == [12, 7]
    with pytest.raises(ValueError, match="two reports"):
        total([one, one])


def _report(first: int, verdicts: Counter[str], failures: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "cases": verdicts.total(),
        "deaths": 0,
        "verdicts": verdicts,
        "codes": {},
        "by_shape": {"words": verdicts},
        "by_script": {},
        "failures": failures,
        "first": first,
        "seconds": 1,
    }
