"""Where models lie, and whether they are what the catalogue says.

`<models folder>/<model>/<file>`. Files and folders may be read by everybody: they are public, and confined
children run under users of their own.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from db.settings import data_folder
from workers.models.catalogue import File, Model, find
from workers.models.catalogue import ModelError as ModelError

State = Literal["installed", "absent", "fetching", "broken"]
Report = Callable[[str], None]  # takes a line for people

_LOOK_S = 1.0


def models_folder(environ: Mapping[str, str]) -> Path:
    """CODEVOICE_MODELS, by default `models` in the data folder. Nothing is made."""
    chosen = environ.get("CODEVOICE_MODELS", "")
    if not chosen:
        return data_folder(environ) / "models"
    return Path(os.path.abspath(os.path.expanduser(chosen)))


def installed(name: str, folder: Path) -> bool:
    """Whether every file of the model is there in its right size: a look, not a proof."""
    return all(_size(folder / name / file.path) == file.bytes for file in find(name).files)


def verified(name: str, folder: Path) -> Path:
    """The model's folder, after its files were read and found to be right; raises ModelError."""
    model, place = find(name), folder / name
    if not place.is_dir():
        raise ModelError(f"the model {name} is not in {folder}: codevoice models add {name}")
    if wrong := faults(model, place):
        raise ModelError(f"the model {name} is damaged ({wrong[0]}): codevoice models add {name}")
    return place


def faults(model: Model, place: Path) -> list[str]:
    """What is wrong with the model's files in the folder `place`, the first of them first."""
    return [fault for file in model.files if (fault := _fault(place / file.path, file))]


def is_right(path: Path, file: File) -> bool:
    """Whether `path` holds exactly the bytes of `file`."""
    return not _fault(path, file)


def _fault(path: Path, file: File) -> str:
    try:
        size = _size(path)
        if size != file.bytes:
            return f"{path} is missing" if size is None else f"{path} has {size} bytes, not {file.bytes}"
        return "" if sha256_of(path) == file.sha256 else f"{path} has another sha256"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"


def _size(path: Path) -> int | None:
    """None: no such file."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def sha256_of(path: Path) -> str:
    """The hash of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state(name: str, folder: Path) -> State:
    """How it stands with a model, as far as a look can say."""
    if installed(name, folder):
        return "installed"
    if _is_locked(name, folder):
        return "fetching"
    return "broken" if (folder / name).exists() else "absent"


def wait_for(name: str, folder: Path, asked_to_stop: Callable[[float], bool], report: Report) -> bool:
    """Wait until the model is there and right: True; or until asked to stop: False.

    `asked_to_stop` waits for so many seconds at most, and says whether it was asked: `Event.wait`. `report`
    hears, once for each state of the folder, what is waited for.
    """
    seen: object = None
    while True:
        now = _stamps(name, folder)
        if now != seen:
            try:
                return bool(verified(name, folder))
            except ModelError as error:
                report(f"waiting: {error}")
        seen = now
        if asked_to_stop(_LOOK_S):
            return False


def _stamps(name: str, folder: Path) -> list[tuple[int, int] | None]:
    """Differs when any file of the model has changed."""
    return [_stamp(folder / name / file.path) for file in find(name).files]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def remove(name: str, folder: Path) -> bool:
    """Delete a model, and what was fetched of it; whether there was anything. Raises ModelError."""
    find(name)
    places = [place for place in (folder / name, scratch(name, folder)) if place.exists()]
    if not places:
        return False
    with locked(name, folder):
        try:
            for place in places:
                shutil.rmtree(place)
        except OSError as error:
            raise ModelError(f"{error.filename} cannot be deleted: {error.strerror}") from None
    return True


def scratch(name: str, folder: Path) -> Path:
    """Where a model is put together, beside its place; kept when a fetch breaks off, for the next one."""
    return folder / f".{name}.new"


def make_folder(folder: Path) -> None:
    """The models folder exists; raises ModelError."""
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the data folder, where it is new
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
    except OSError as error:
        raise ModelError(f"{folder} (CODEVOICE_MODELS) cannot be used: {error.strerror}") from None


@contextmanager
def locked(name: str, folder: Path, waits: Callable[[], None] = lambda: None) -> Generator[None]:
    """The model is ours alone to change for the block; `waits` is called where another process has it."""
    with _lock_file(name, folder, create=True) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_locked(name: str, folder: Path) -> bool:
    try:
        with _lock_file(name, folder, create=False) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ModelError, OSError):
        return False
    return False


def _lock_file(name: str, folder: Path, *, create: bool) -> BinaryIO:
    flags = os.O_RDONLY | (os.O_CREAT if create else 0) | os.O_CLOEXEC
    try:
        return os.fdopen(os.open(folder / f".{name}.lock", flags, 0o644), "rb")
    except OSError as error:
        raise ModelError(f"{folder} (CODEVOICE_MODELS) cannot be used: {error.strerror}") from None


def publish(model: Model, folder: Path) -> None:
    """Put what was made in the scratch folder in the model's place, at once; hold the lock."""
    new, place, old = scratch(model.name, folder), folder / model.name, folder / f".{model.name}.old"
    try:
        _tidy(new, {new / file.path for file in model.files})
        shutil.rmtree(old, ignore_errors=True)
        if place.exists():
            place.rename(old)
        new.rename(place)
        _sync(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise ModelError(f"{error.filename} cannot be written: {error.strerror}") from None


def _tidy(place: Path, files: set[Path]) -> None:
    """Nothing else is there, everybody may read it whatever the umask, and the disk has it."""
    for root, _folders, names in os.walk(place, topdown=False):
        for path in (Path(root, name) for name in names):
            if path not in files:
                path.unlink()  # the beginning of a file that then came from elsewhere
                continue
            path.chmod(0o644)
            _sync(path)
        Path(root).chmod(0o755)
        _sync(Path(root))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
