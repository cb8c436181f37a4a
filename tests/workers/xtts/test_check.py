"""`codevoice check xtts`, on a tiny random checkpoint: the audio is noise, but its tokens are upstream's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

AGREED = {"COQUI_TOS_AGREED": "1", "CODEVOICE_XTTS_LICENCE": "non-commercial"}


def check(weights: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    options = ["--weights", str(weights), "--seconds", "1", "--recogniser", "pocketsphinx", "--json"]
    return subprocess.run(
        [str(Path(sys.executable).with_name("codevoice")), "check", "xtts", *options],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@pytest.mark.timeout(300)
def test_weights_are_compared_with_upstream_and_listened_to(checkpoint: Path) -> None:
    done = check(checkpoint, **AGREED)

    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout)["figures"]
    assert figures["rows"] == figures["rows_equal_upstream"] == 8
    assert figures["wave_max_diff"] < 1e-5
    assert figures["word_error_rate"] > 0.5  # noise


def test_without_the_licence_nothing_is_loaded(checkpoint: Path) -> None:
    done = check(checkpoint)

    assert (done.returncode, done.stdout) == (1, "")
    assert "COQUI_TOS_AGREED=1" in done.stderr
