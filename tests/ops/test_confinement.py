"""`codevoice check confinement`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops.confinement import confinement
from workers.process import trial

CODEVOICE = str(Path(sys.executable).with_name("codevoice"))


def test_the_check_reports_what_each_kind_was_denied_and_what_proc_shows() -> None:
    done = subprocess.run(
        [CODEVOICE, "check", "confinement", "--json"], capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["confined"]) == (0, True)
    assert set(report["kinds"]) == set(trial.KINDS)
    for kind in report["kinds"].values():
        assert len(kind["attempts"]) > 40
        assert kind["proc"]["environ_bytes"] == 0
    assert isinstance(report["missing"], list)


def test_the_check_fails_on_anything_allowed_that_should_be_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    real = trial._faults
    monkeypatch.setattr(trial, "_faults", lambda kind, attempts, proc: [*real(kind, attempts, proc), "exec"])
    done = CliRunner().invoke(confinement, [])
    assert done.exit_code == 1
    assert "espeak: NOT as it must be: exec" in done.output
