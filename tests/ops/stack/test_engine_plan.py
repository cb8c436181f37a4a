"""Which engines `codevoice up` runs, whose models it fetches first, and what it continues without."""

from collections.abc import Generator
from pathlib import Path

import pytest

from ops.stack.engine_plan import (
    DEFAULT_ENGINES,
    PlannedWorker,
    default_engines,
    for_later,
    seats,
    with_models,
)
from ops.stack.workers import worker_slots
from tests import small_models
from tests.small_models import put, served
from workers.engines import registry
from workers.models import catalogue
from workers.models.catalogue import ModelError

ALL = "hibari,espeak,whisper,kokoro,pocketsphinx"


@pytest.fixture(autouse=True)
def _engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neural engines are there, whatever this version has."""
    loaders = registry._LOADERS
    for name in ("hibari", "kokoro"):
        monkeypatch.setitem(loaders, name, loaders["espeak"])


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A models folder, and a catalogue of which only hibari can be had."""
    with served() as home:
        source = [{"type": "url", "base": home.url}]
        nowhere: list[dict[str, object]] = []
        small_models.use(
            monkeypatch, tmp_path, **{"hibari": source, "kokoro": nowhere, "whisper-base": nowhere}
        )
        yield tmp_path / "models"
    monkeypatch.undo()
    catalogue.catalogue.cache_clear()


def planned(names: str, folder: Path, *, small: bool = False, **environ: str) -> list[PlannedWorker]:
    return seats(worker_slots(names, "cpu", environ), environ, folder, small=small)


def named(found: list[PlannedWorker]) -> list[str]:
    return [seat.post.engine for seat in found]


def test_every_available_engine_runs_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_engines() == ",".join(DEFAULT_ENGINES) == ALL
    monkeypatch.delitem(registry._LOADERS, "kokoro")
    assert default_engines() == "hibari,espeak,whisper,pocketsphinx"


def test_the_stack_neither_waits_for_nor_requires_engines_with_large_models(models: Path) -> None:
    found = planned(ALL, models)
    assert [(seat.post.engine, seat.awaited, seat.optional) for seat in found] == [
        ("hibari", True, True),
        ("espeak", True, False),
        ("whisper", False, True),
        ("kokoro", False, True),
        ("pocketsphinx", True, False),
    ]
    assert for_later(found) == ["whisper-base", "kokoro"]


def test_the_small_stack_runs_engines_whose_models_are_present(models: Path) -> None:
    assert named(planned(ALL, models, small=True)) == ["hibari", "espeak", "pocketsphinx"]
    put(models, "whisper-base")
    assert named(planned(ALL, models, small=True)) == ["hibari", "espeak", "whisper", "pocketsphinx"]


def test_whisper_with_an_operators_folder_is_awaited(models: Path, tmp_path: Path) -> None:
    found = planned("espeak,whisper", models, CODEVOICE_WHISPER_MODEL=str(tmp_path))
    assert [seat.awaited for seat in found] == [True, True]


def test_the_model_of_the_first_voice_is_fetched_before_ready(models: Path) -> None:
    said: list[str] = []
    found = with_models(planned(ALL, models), models, said.append)
    assert named(found) == ALL.split(",")
    assert said[0] == "hibari: 0.1 MB to fetch"
    assert sorted(entry.name for entry in models.glob("[!.]*")) == ["hibari"]


def test_without_the_first_model_other_engines_speak_and_one_line_reports_it(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_models.use(monkeypatch, tmp_path, **{"hibari": [], "kokoro": [], "whisper-base": []})
    said: list[str] = []
    found = with_models(planned(ALL, models), models, said.append)
    assert named(found) == ["espeak", "whisper", "pocketsphinx"]
    [line] = [line for line in said if "without" in line]
    assert line.startswith("going on without hibari, kokoro: hibari cannot be had")


def test_where_no_other_engine_speaks_the_model_is_required(models: Path) -> None:
    found = planned("kokoro,pocketsphinx", models)
    assert [(seat.awaited, seat.optional) for seat in found] == [(True, False), (True, False)]
    with pytest.raises(ModelError, match="kokoro cannot be had"):
        with_models(found, models, lambda _: None)
