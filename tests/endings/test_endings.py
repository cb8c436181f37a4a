"""Every ending in every dialect, with and without audio: bytes, reported words and booked credits agree."""

from collections.abc import Generator
from pathlib import Path

import pytest

from .faults import FAULTS, PythonFault, SqlFault, cells_of, environment, seeded
from .harness import Harness, open_harness

SQL_FAULTS = [name for name, fault in FAULTS.items() if isinstance(fault, SqlFault)]
PYTHON_FAULTS = [name for name, fault in FAULTS.items() if isinstance(fault, PythonFault)]


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Generator[Harness]:
    with open_harness(tmp_path_factory.mktemp("endings")) as opened:
        yield opened


def test_bytes_words_and_credits_agree_after_every_ending(harness: Harness) -> None:
    report = harness.run(2)

    assert list(report.violations) == []
    assert report.cases == 2 * report.cells
    assert report.ledger_is_clean


@pytest.mark.parametrize("name", SQL_FAULTS)
def test_a_fault_seeded_in_the_sql_is_found(harness: Harness, name: str) -> None:
    fault = FAULTS[name]
    assert isinstance(fault, SqlFault)
    with seeded(harness, fault):
        assert harness.run(1, cells_of(fault)).violations


@pytest.mark.parametrize("name", PYTHON_FAULTS)
def test_a_fault_seeded_in_the_api_is_found(tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    assert isinstance(fault, PythonFault)
    with open_harness(tmp_path, **environment(fault)) as harness:
        assert harness.run(1, cells_of(fault)).violations
