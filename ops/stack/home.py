"""The data folder of one stack: its folders, its lock, and the secrets made at the first start."""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from db.settings import data_folder

_LOCK_WAIT_S = 0.5  # longer than a check of the lock takes, shorter than a person notices


class HomeError(Exception):
    """The data folder cannot be used; the message names it."""


class HomeTaken(HomeError):
    """Another stack holds it."""


class Secrets(Struct, frozen=True, kw_only=True):
    """Secrets to keep with the data: 64 hex digits each. Losing them invalidates every key and log-in."""

    database_owner_password: str
    database_app_password: str
    redis_password: str
    key_pepper: str
    key_encryption_key: str
    jwt_secret: str
    url_secret: str
    demo_password: str


class Home(Struct, frozen=True, kw_only=True):
    """The folders of one stack, all 0700."""

    folder: Path

    @property
    def postgres(self) -> Path:
        """Postgres's data directory."""
        return self.folder / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's data directory."""
        return self.folder / "valkey"

    @property
    def objects(self) -> Path:
        """The folder of the object store."""
        return self.folder / "objects"

    @property
    def metrics(self) -> Path:
        """Where the processes of one kind share their metrics."""
        return self.folder / "run" / "metrics"

    @property
    def models_state(self) -> Path:
        """The file on models that are being fetched."""
        return self.folder / "run" / "models.json"

    @property
    def stack_file(self) -> Path:
        """Addresses and process ids of the running stack."""
        return self.folder / "run" / "stack.json"

    def log(self, name: str) -> Path:
        """The log file of a program."""
        return self.folder / "logs" / f"{name}.log"


def home_of(environ: Mapping[str, str]) -> Home:
    """CODEVOICE_HOME, by default `codevoice` in the user's data folder. Creates nothing."""
    return Home(folder=data_folder(environ))


@contextmanager
def held(home: Home) -> Generator[None]:
    """Create the folders and lock them for the block; raises HomeError, HomeTaken."""
    try:
        for name in ("", "valkey", "objects", "logs", "run"):
            (home.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(home.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HomeError(f"{error.filename} (CODEVOICE_HOME) cannot be used: {error.strerror}") from None
    try:
        _lock(lock, home)
        yield
    finally:
        os.close(lock)


def is_held(home: Home) -> bool:
    """Whether a stack uses it now."""
    try:
        lock = os.open(home.folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise HomeError(f"{home.folder} cannot be read: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _lock(lock: int, home: Home) -> None:
    """Retries for a while, since `is_held` takes the lock for an instant."""
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise HomeTaken(f"{home.folder} is in use by another stack") from None
            time.sleep(0.02)


def secrets_of(home: Home) -> Secrets:
    """The secrets in `home`, generated if there are none. The caller holds the home's lock."""
    path = home.folder / "secrets"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Secrets)
    except FileNotFoundError:
        return _make_secrets(path, home)
    except (msgspec.DecodeError, OSError) as error:
        raise HomeError(f"{path} cannot be read ({error}): restore it from a backup") from None


def _make_secrets(path: Path, home: Home) -> Secrets:
    if home.postgres.exists():
        raise HomeError(f"{path} is gone, but its database is there: restore it from a backup")
    made = {name: secrets.token_hex(32) for name in Secrets.__struct_fields__}
    write_private(path, json.dumps(made, indent=2) + "\n")
    return msgspec.convert(made, Secrets)


def write_private(path: Path, text: str) -> None:
    """Write a file only we can read, atomically."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
