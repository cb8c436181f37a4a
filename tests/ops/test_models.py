"""`codevoice models`: list, add, check and remove."""

import json
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ops import cli
from tests import small_models
from tests.small_models import FILES, Server, put, served
from workers.models import catalogue

Models = Callable[..., Result]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[Server]:
    """Of the models `small` and `other`, which are all there are."""
    with served() as server:
        source = [{"type": "url", "base": server.url}]
        small_models.use(monkeypatch, tmp_path, small=source, other=source)
        yield server
    monkeypatch.undo()
    catalogue.catalogue.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def models(home: Server, folder: Path) -> Models:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(
            cli.codevoice, ["models", *arguments], env={"CODEVOICE_MODELS": str(folder)}
        )

    return run


def test_the_list_shows_which_models_are_present(models: Models, folder: Path) -> None:
    put(folder, "small")
    found = json.loads(models("list", "--json").stdout)
    assert [(model["name"], model["state"]) for model in found] == [
        ("small", "installed"),
        ("other", "absent"),
    ]
    assert found[0].keys() == {"name", "state", "bytes", "languages", "licence", "purpose"}
    assert found[0]["bytes"] == sum(len(data) for data in FILES.values())
    assert "small" in models("list").stdout


def test_added_models_are_present_and_verified(models: Models, home: Server) -> None:
    done = models("add", "small", "other")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "codevoice: small: 0.1 MB to fetch" in done.stderr
    verified = models("verify")
    assert (verified.exit_code, verified.stdout) == (0, "small right\nother right\n")


def test_a_corrupted_file_is_found_and_repaired(models: Models, folder: Path) -> None:
    put(folder, "small", {**FILES, "weights.bin": bytes(len(FILES["weights.bin"]))})
    found = models("verify")
    assert (found.exit_code, found.stdout) == (1, "small broken\n")
    assert "weights.bin has another sha256): codevoice models add small" in found.stderr
    assert models("add", "small").exit_code == 0
    assert models("verify", "small").exit_code == 0


def test_models_are_added_offline_from_a_folder(models: Models, home: Server, tmp_path: Path) -> None:
    put(tmp_path, "stick")
    assert models("add", "small", "--from", str(tmp_path / "stick")).exit_code == 0
    assert home.requests == []


def test_a_model_that_cannot_be_fetched_is_one_line_and_exit_status_1(models: Models, home: Server) -> None:
    home.files = {}
    done = models("add", "small")
    assert done.exit_code == 1
    assert "codevoice: small cannot be had (weights.bin is missing): " in done.stderr.splitlines()[-1]


def test_removed_models_are_absent(models: Models, folder: Path) -> None:
    put(folder, "small")
    assert models("remove", "small").exit_code == 0
    assert not (folder / "small").exists()
    assert models("remove", "small").exit_code == 4
    assert models("verify", "small").exit_code == 1


@pytest.mark.parametrize("command", ["add", "verify", "remove"])
def test_an_unknown_model_is_refused_before_anything_is_done(
    models: Models, folder: Path, command: str
) -> None:
    done = models(command, "small", "large")
    assert done.exit_code == 4
    assert "there is no model large; there are small, other" in done.stderr
    assert not folder.exists()
