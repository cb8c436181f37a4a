"""Where models are stored, and whether they match the catalogue.

`<models folder>/<model>/<file>`. Files and folders are readable by everybody: they are public, and confined
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

import structlog

from db.settings import data_folder
from workers.models.catalogue import File, Model, find
from workers.models.catalogue import ModelError as ModelError

State = Literal["installed", "absent", "fetching", "broken"]
Report = Callable[[str], None]  # takes a line of text to show

_POLL_S = 1.0


def models_folder(environ: Mapping[str, str]) -> Path:
    """CODEVOICE_MODELS, by default `models` in the data folder. Creates nothing."""
    chosen = environ.get("CODEVOICE_MODELS", "")
    if not chosen:
        return data_folder(environ) / "models"
    return Path(os.path.abspath(os.path.expanduser(chosen)))


def installed(name: str, folder: Path) -> bool:
    """Whether every file of the model has its right size: a quick check, not a verification."""
    return all(_size(folder / name / file.path) == file.bytes for file in find(name).files)


def verified(name: str, folder: Path) -> Path:
    """The model's folder, after reading and verifying its files; raises ModelError."""
    model, place = find(name), folder / name
    if not place.is_dir():
        raise ModelError(f"the model {name} is not in {folder}: codevoice models add {name}")
    if wrong := faults(model, place):
        raise ModelError(f"the model {name} is damaged ({wrong[0]}): codevoice models add {name}")
    return place


def is_usable(name: str, folder: Path) -> bool:
    """Whether an optional model is installed and intact; a damaged one's voices are left out, and logged."""
    try:
        return installed(name, folder) and bool(verified(name, folder))
    except ModelError as error:
        structlog.get_logger().warning("voices_left_out", reason=str(error))
        return False


def faults(model: Model, place: Path) -> list[str]:
    """The faults of the model's files in the folder `place`, the first file's first."""
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
    """The state of a model, as far as a quick check can show."""
    if installed(name, folder):
        return "installed"
    if _is_locked(name, folder):
        return "fetching"
    return "broken" if (folder / name).exists() else "absent"


def wait_for(name: str, folder: Path, stop_requested: Callable[[float], bool], report: Report) -> bool:
    """Wait until the model is there and intact: True; or until a stop is requested: False.

    `stop_requested` waits for at most so many seconds and returns whether a stop was requested, like
    `Event.wait`. `report` is called once for each state of the folder, with what is missing.
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
        if stop_requested(_POLL_S):
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
    """Delete a model, and what was fetched of it; returns whether there was anything. Raises ModelError."""
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
    """Where a model is assembled, beside its place; kept after an interruption, for the next fetch."""
    return folder / f".{name}.new"


def make_folder(folder: Path) -> None:
    """Create the models folder if necessary; raises ModelError."""
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the data folder, if it is new
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
    except OSError as error:
        raise ModelError(f"{folder} (CODEVOICE_MODELS) cannot be used: {error.strerror}") from None


@contextmanager
def locked(name: str, folder: Path, waits: Callable[[], None] = lambda: None) -> Generator[None]:
    """Hold the model's lock for the block; `waits` is called if another process holds it."""
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
    """Move the scratch folder's content to the model's place, atomically; the caller holds the lock."""
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
    """Remove other files, make everything readable whatever the umask, and flush it to the disk."""
    for root, _folders, names in os.walk(place, topdown=False):
        for path in (Path(root, name) for name in names):
            if path not in files:
                path.unlink()  # a partial file that then came from another source
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
