"""What a worker's process gets of the processor beside other engines'."""

import subprocess
import sys
from pathlib import Path

import pytest

from db.settings import SettingsError
from workers.process.processor_shares import nice_value
from workers.settings import WorkerSettings

HOUSE = Path(__file__).parents[3]
SHARES = WorkerSettings(engine="hibari").processor_shares


@pytest.mark.parametrize(
    ("engine", "nice"),
    [("hibari", 0), ("espeak", 0), ("kokoro", 6), ("whisper", 6), ("pocketsphinx", 9), ("mine:engine", 0)],
)
def test_a_step_of_the_nice_value_divides_the_share_by_a_quarter_more(engine: str, nice: int) -> None:
    assert nice_value(engine, SHARES) == nice


def test_no_share_exceeds_the_kernels_nice_range() -> None:
    assert nice_value("b", "a=1000, b=0.001") == 19
    assert nice_value("a", "") == 0


@pytest.mark.parametrize("wrong", ["hibari", "hibari=", "=2", "hibari=0", "hibari=much", "a=-1", "a=nan"])
def test_an_invalid_share_is_named(wrong: str) -> None:
    with pytest.raises(SettingsError, match="CODEVOICE_PROCESSOR_SHARES"):
        nice_value("hibari", wrong)


PRINTED = """
import os, subprocess, sys
from pathlib import Path
from workers.process.processor_shares import share_processor
share_processor("kokoro", "hibari=8,kokoro=2")
group = Path("/proc/self/autogroup")
print(os.getpriority(os.PRIO_PROCESS, 0))
print(group.read_text().split()[-1] if group.exists() else "none", flush=True)
subprocess.run([sys.executable, "-c", "import os; print(os.getpriority(os.PRIO_PROCESS, 0))"], check=True)
"""


def test_the_process_its_session_and_its_children_have_the_share() -> None:
    done = subprocess.run(
        ["nice", "-n", "1", sys.executable, "-c", PRINTED],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    own, group, child = done.stdout.split()
    assert (own, child) == ("7", "7")
    assert group in ("7", "none")
