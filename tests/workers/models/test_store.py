"""The models folder: a model is verified, waited for, or reported missing in one clear line."""

import threading
from pathlib import Path

import pytest

from tests.small_models import CODE, FILES, WEIGHTS, put
from workers.models.catalogue import ModelError, UnknownModel
from workers.models.store import (
    installed,
    locked,
    make_folder,
    models_folder,
    remove,
    state,
    verified,
    wait_for,
)

from .conftest import Use

FLIPPED = {**FILES, "weights.bin": b"\x01" + WEIGHTS[1:]}


@pytest.fixture(autouse=True)
def _small(use: Use) -> None:
    use(small=[])


def test_the_folder_follows_the_environment() -> None:
    assert [
        str(models_folder(environ))
        for environ in ({"CODEVOICE_MODELS": "/m"}, {"CODEVOICE_HOME": "/a"}, {"XDG_DATA_HOME": "/b"})
    ] == ["/m", "/a/models", "/b/codevoice/models"]


def test_a_verified_model_is_returned(folder: Path) -> None:
    assert verified("small", put(folder, "small").parent) == folder / "small"
    assert state("small", folder) == "installed"


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (FLIPPED, "weights.bin has another sha256"),
        ({"weights.bin": WEIGHTS}, "code/__init__.py is missing"),
        ({**FILES, "weights.bin": WEIGHTS[1:]}, "weights.bin has 102399 bytes, not 102400"),
    ],
)
def test_at_load_a_damaged_file_is_named_with_the_remedy(
    folder: Path, files: dict[str, bytes], line: str
) -> None:
    put(folder, "small", files)
    with pytest.raises(ModelError, match=line) as failure:
        verified("small", folder)
    assert str(failure.value).endswith(": codevoice models add small")


def test_a_quick_check_finds_missing_and_short_files(folder: Path) -> None:
    assert state("small", folder) == "absent"
    put(folder, "small", {"code/__init__.py": CODE})
    assert (installed("small", folder), state("small", folder)) == (False, "broken")
    with locked("small", folder):
        assert state("small", folder) == "fetching"
    assert state("small", folder) == "broken"


def test_an_absent_model_is_distinguished_from_a_damaged_one(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"the model small is not in .*: codevoice models add small"):
        verified("small", folder)
    with pytest.raises(UnknownModel, match="there is no model large; there are small"):
        verified("large", folder)


def test_waiting_ends_when_the_model_is_present(folder: Path) -> None:
    messages: list[str] = []

    def comes_meanwhile(_seconds: float) -> bool:
        put(folder, "small")
        return False

    assert wait_for("small", folder, comes_meanwhile, messages.append)
    assert messages == [f"waiting: the model small is not in {folder}: codevoice models add small"]


def test_waiting_ends_on_a_stop_request(folder: Path) -> None:
    stopped = threading.Event()
    stopped.set()
    assert not wait_for("small", folder, stopped.wait, lambda _: None)


def test_a_damaged_model_is_reported_once_and_waited_for(folder: Path) -> None:
    put(folder, "small", FLIPPED)
    messages: list[str] = []
    steps = iter([lambda: None, lambda: None, lambda: put(folder, "small")])

    def later(_seconds: float) -> bool:
        next(steps)()
        return False

    assert wait_for("small", folder, later, messages.append)
    assert len(messages) == 1
    assert "weights.bin has another sha256" in messages[0]


def test_a_removed_model_is_deleted_with_its_partial_downloads(folder: Path) -> None:
    put(folder, "small")
    put(folder, ".small.new", {"weights.bin.part": b"1"})
    assert remove("small", folder)
    assert [entry.name for entry in folder.iterdir()] == [".small.lock"]
    assert not remove("small", folder)


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"CODEVOICE_MODELS\) cannot be used"):
        make_folder(tmp_path / "file" / "models")
