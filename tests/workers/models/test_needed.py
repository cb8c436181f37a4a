"""An engine whose model is absent waits for it, and can be stopped while it waits."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workers.models.needed import needed
from workers.process.exit_codes import Exit
from workers.settings import WorkerSettings


def test_each_engine_needs_its_models(tmp_path: Path) -> None:
    chosen = {"": ("whisper-base",), "tiny.en": ("whisper-tiny.en",), "whisper-small": ("whisper-small",)}
    for model, names in chosen.items():
        assert needed(WorkerSettings(engine="whisper", whisper_model=model)) == names
    assert needed(WorkerSettings(engine="whisper", whisper_model=str(tmp_path))) == ()
    assert needed(WorkerSettings(engine="whisper", whisper_download=True)) == ()
    assert needed(WorkerSettings(engine="kokoro")) == ("kokoro", "hibari")
    assert needed(WorkerSettings(engine="espeak")) == ()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, Exit.DRAINED), (signal.SIGUSR1, Exit.RECYCLED)]
)
def test_a_worker_waits_for_its_model_until_a_signal(
    tmp_path: Path, number: signal.Signals, status: Exit
) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "CODEVOICE_ENGINE": "whisper",
        "CODEVOICE_MODELS": str(tmp_path / "models"),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1",
        "CODEVOICE_OBJECTS": tmp_path.as_uri(),
    }
    command = [sys.executable, "-m", "workers"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr
        line = worker.stderr.readline()
        worker.send_signal(number)
        assert worker.wait(60) == status
    assert "model_awaited" in line
    assert "codevoice models add whisper-base" in line
