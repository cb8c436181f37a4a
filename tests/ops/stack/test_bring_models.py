"""The background program of `up` fetches models, retries, and prints one line for each."""

import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from app.domain.voices.model_downloads import ModelState, read
from ops.stack import bring_models
from tests import small_models
from tests.small_models import FILES, Server, put, served
from workers.models import catalogue
from workers.models.store import verified


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[Server]:
    with served() as server:
        small_models.use(monkeypatch, tmp_path, small=[{"type": "url", "base": server.url}])
        monkeypatch.setenv("CODEVOICE_MODELS", str(tmp_path / "models"))
        monkeypatch.setattr(os, "nice", lambda _: 0)
        yield server
    monkeypatch.undo()
    catalogue.catalogue.cache_clear()


def test_a_model_is_fetched_after_its_size_was_printed(
    home: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bring_models.main(["small"]) == 0
    assert verified("small", tmp_path / "models")
    assert capsys.readouterr().err.splitlines() == [
        "codevoice: fetching small in the background, 0.1 MB",
        f"codevoice: small is now in {tmp_path / 'models'}",
    ]


def test_a_model_that_is_present_prints_nothing(
    home: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "models", "small")
    assert bring_models.main(["small"]) == 0
    assert (capsys.readouterr().err, home.requests) == ("", [])


def test_a_model_that_cannot_be_fetched_is_retried_later(
    home: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home.files = {}
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            home.files = {f"/{path}": data for path, data in FILES.items()}

    monkeypatch.setattr(time, "sleep", sleep)
    assert bring_models.main(["small"]) == 0
    assert slept == [30.0, 120.0]
    assert sum("trying again in" in line for line in capsys.readouterr().err.splitlines()) == 2


def test_the_models_still_missing_are_written_for_the_pages(
    home: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEVOICE_MODELS_STATE", str(tmp_path / "state"))
    home.files = {}
    seen: list[tuple[ModelState, ...]] = []

    def sleep(_seconds: float) -> None:
        seen.append(read(tmp_path / "state"))
        home.files = {f"/{path}": data for path, data in FILES.items()}

    monkeypatch.setattr(time, "sleep", sleep)
    assert bring_models.main(["small"]) == 0
    [[failed]] = seen
    assert (failed.name, failed.state, failed.bytes) == ("small", "failed", sum(map(len, FILES.values())))
    assert "trying again in 30 s" in failed.error
    assert read(tmp_path / "state") == ()


def test_fetching_is_given_up_after_the_last_try(
    home: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home.files = {}
    monkeypatch.setattr(time, "sleep", lambda _: None)
    assert bring_models.main(["small"]) == 1
    assert "given up until the next start" in capsys.readouterr().err.splitlines()[-1]
