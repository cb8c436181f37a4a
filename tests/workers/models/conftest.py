"""A models folder, a home on loopback, and package registries that are folders of the test's own."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests import small_models
from tests.small_models import Server, served
from workers.models import catalogue

Use = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def home() -> Generator[Server]:
    with served() as server:
        yield server


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[Use]:
    """Has the catalogue name these models alone, by their sources."""

    def use_them(**sources: list[dict[str, Any]]) -> None:
        small_models.use(monkeypatch, tmp_path, **sources)

    yield use_them
    monkeypatch.undo()
    catalogue.catalogue.cache_clear()


@pytest.fixture
def wheels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder pip is set to find its wheels in, with no index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    for name in (
        "UV_FIND_LINKS",
        "UV_NO_INDEX",
        "UV_DEFAULT_INDEX",
        "UV_EXTRA_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    return folder
