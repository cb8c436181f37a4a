"""`codevoice backup` and `codevoice restore`: database, secrets and audio, to a folder and back.

A backup is a folder of plain parts: `database.dump` (pg_dump's custom format, the schema `cv`), `heads.jsonl`
(the ledger's heads from just before), `secrets` (of a home), `objects` (of a store that is a folder), and
`backup.json`, written last: a folder without it is incomplete.
"""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import asyncpg
import msgspec
import psycopg
import rich_click as click
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.admin import ledger
from app.domain.admin.ledger import Audit, Head
from db.postgres.migrate import upgrade
from db.postgres.migrations.errors import SchemaError
from db.postgres.pool import open_engine, session
from db.settings import DbSettings, SettingsError
from ops.command_errors import failing_on
from ops.postgres_clients import ClientError, run
from ops.progress import say, step
from ops.stack import embedded
from ops.stack.embedded import EmbeddedError
from ops.stack.home import Home, held, home_of, is_held, secrets_of, write_private
from ops.stack.prepare import APP_ROLE
from ops.stack.running import settings_for_cli

_DUMP, _HEADS, _SECRETS, _OBJECTS, _WHOLE = (
    "database.dump", "heads.jsonl", "secrets", "objects", "backup.json",
)  # fmt: skip
T = TypeVar("T")
_CONNECT_S = 10
_WHICH_STORE = "CODEVOICE_OBJECTS is not set: set it, or leave the audio out by --no-audio"
_BROKEN_OFF = "#"  # in the name of a partial object, left in the store by a write that was killed


_audio = click.option("--audio/--no-audio", default=True, help="Include the store, if it is a folder.")


class BackupError(Exception):
    """Nothing was backed up or restored; the message gives the reason and the remedy."""


class Made(Struct, frozen=True, kw_only=True):
    """The content of `backup.json`."""

    made_at: datetime
    version: str
    audio: bool


def backup(environ: Mapping[str, str], folder: Path, *, audio: bool) -> None:
    """Write a backup of the running system into the new folder `folder`. Nothing is stopped meanwhile.

    The source is the running stack, a stopped one's home, or DATABASE_URL and CODEVOICE_DATABASE_OWNER_URL.
    Raises BackupError, NoStack; `folder` then has no `backup.json`.
    """
    os.umask(0o077)  # everything in it is as confidential as the database
    _make(folder)
    home = home_of(environ)
    with _places(environ, home) as places:
        if audio and not places.objects:
            raise BackupError(_WHICH_STORE)
        with step("heads"):
            heads = asyncio.run(_at_once(places.database_url, ledger.heads))
            (folder / _HEADS).write_bytes(b"".join(msgspec.json.encode(head) + b"\n" for head in heads))
        with step("database"):
            run("pg_dump", places.database_owner_url, "-Fc", "-n", "cv", "-f", str(folder / _DUMP))
        if (home.folder / _SECRETS).exists():
            write_private(folder / _SECRETS, (home.folder / _SECRETS).read_text())
        else:
            say("no secrets in CODEVOICE_HOME: keep the four of your environment with this backup")
        # After the database: the objects its rows name are in the store by then, unless they have expired.
        is_copied = audio and _save_objects(places.objects, folder / _OBJECTS)
    made = Made(made_at=datetime.now(UTC), version=version("codevoice"), audio=is_copied)
    (folder / _WHOLE).write_bytes(msgspec.json.encode(made) + b"\n")


def restore(environ: Mapping[str, str], folder: Path, *, audio: bool) -> Audit:
    """Restore a backup into an empty home, or into an empty database of your own; returns the audit of the
    result.

    Raises BackupError, HomeError; a home or a database that has data is left as it is.
    """
    os.umask(0o077)
    made = _read(folder)
    home = home_of(environ)
    is_copied = made.audio and audio
    if is_copied:
        _check_store(environ, folder)
    with held(home):
        if (kept := folder / _SECRETS).exists():
            if environ.get("DATABASE_URL"):
                say(f"keys and log-ins need the secrets in {kept}: put the four into your environment")
            else:
                _take_secrets(kept, home)
        with _empty(environ, home) as places:
            with step("database"):
                _restore_database(places, folder / _DUMP)
            with step("migrations"):
                upgrade(places.database_owner_url, places.database_url)
            if is_copied:
                with step("audio"):
                    _copy(folder / _OBJECTS, _path(places.objects))
            with step("audit"):
                kept = [
                    msgspec.json.decode(line, type=Head)
                    for line in (folder / _HEADS).read_bytes().splitlines()
                ]
                return asyncio.run(_at_once(places.database_url, lambda opened: ledger.audit(opened, kept)))


def _check_store(environ: Mapping[str, str], folder: Path) -> None:
    store = environ.get("CODEVOICE_OBJECTS")
    if environ.get("DATABASE_URL") and not store:
        raise BackupError(_WHICH_STORE)
    if store and not _is_folder(store):
        raise BackupError(f"copy {folder / _OBJECTS} into your bucket, then restore with --no-audio")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if any(folder.iterdir()):
            raise BackupError(f"{folder} is not empty: name a new folder for each backup")
    except OSError as error:
        raise BackupError(f"{folder} cannot be written: {error.strerror}") from None


def _read(folder: Path) -> Made:
    try:
        return msgspec.json.decode((folder / _WHOLE).read_bytes(), type=Made)
    except FileNotFoundError:
        raise BackupError(f"{folder} has no {_WHOLE}: it is no backup, or one that was broken off") from None
    except (OSError, msgspec.DecodeError) as error:
        raise BackupError(f"{folder / _WHOLE} cannot be read: {error}") from None


@contextmanager
def _places(environ: Mapping[str, str], home: Home) -> Generator[DbSettings]:
    """The addresses of the data. The database of a stopped stack is started for the block."""
    if environ.get("DATABASE_URL") or is_held(home) or not home.postgres.exists():
        places = settings_for_cli(environ)
        if not places.database_owner_url:
            raise BackupError("CODEVOICE_DATABASE_OWNER_URL is not set: the application's role reads not all")
        yield places
        return
    with held(home), _started(environ, home) as places:
        yield places


@contextmanager
def _empty(environ: Mapping[str, str], home: Home) -> Generator[DbSettings]:
    """A database without our schema: the operator's, or a new one in `home`, which is removed on an error."""
    if environ.get("DATABASE_URL"):
        places = settings_for_cli(environ)
        if not places.database_owner_url:
            raise BackupError("DATABASE_URL and CODEVOICE_DATABASE_OWNER_URL: set both or neither")
        _require_empty(places.database_owner_url)
        yield places
        return
    if home.postgres.exists():
        raise BackupError(f"{home.folder} has a database: set CODEVOICE_HOME to a folder without one")
    try:
        with _started(environ, home) as places:
            yield places
    except BaseException:
        shutil.rmtree(home.postgres, ignore_errors=True)
        raise


@contextmanager
def _started(environ: Mapping[str, str], home: Home) -> Generator[DbSettings]:
    """The home's own Postgres, run for the block."""
    secrets = secrets_of(home)
    with embedded.postgres(home.postgres, password=secrets.database_owner_password) as owner_url:
        port = int(urlsplit(owner_url).port or 0)
        yield DbSettings(
            database_url=embedded.postgres_url(APP_ROLE, secrets.database_app_password, port),
            database_owner_url=owner_url,
            redis_url="",
            objects=environ.get("CODEVOICE_OBJECTS") or home.objects.as_uri(),
        )


def _require_empty(owner_url: str) -> None:
    with psycopg.connect(owner_url, connect_timeout=_CONNECT_S) as connection:
        if connection.execute("SELECT to_regnamespace('cv')").fetchone() != (None,):
            raise BackupError("the database has a schema `cv`: restore into an empty one")


def _take_secrets(kept: Path, home: Home) -> None:
    """Copy the backup's secrets to the home: keys and log-ins work with no others."""
    mine = home.folder / _SECRETS
    if mine.exists() and mine.read_bytes() != kept.read_bytes():
        raise BackupError(f"{mine} differs from the backup's: set CODEVOICE_HOME to a folder without secrets")
    write_private(mine, kept.read_text())


def _restore_database(places: DbSettings, dump: Path) -> None:
    from db.postgres.migrations.apply import prepare_roles  # SQLAlchemy and Alembic take a second to import

    prepare_roles(places.database_owner_url, places.database_url)
    run("pg_restore", places.database_owner_url, "--exit-on-error", "--single-transaction", str(dump))


def _save_objects(store: str, target: Path) -> bool:
    if not _is_folder(store):
        say(f"audio is not in this backup: it lies in {store.partition('?')[0]}, back it up there")
        return False
    with step("audio"):
        _copy(_path(store), target)
    return True


def _is_folder(store: str) -> bool:
    return store.startswith("file:")


def _path(store: str) -> Path:
    return Path(unquote(urlsplit(store).path))


def _copy(source: Path, target: Path) -> None:
    """Copy a folder's files. Files that expire and are deleted meanwhile are left out."""
    for folder, _, files in os.walk(source):  # skips folders that are gone
        there = target / Path(folder).relative_to(source)
        there.mkdir(parents=True, exist_ok=True)
        for name in files:
            if _BROKEN_OFF not in name:
                with suppress(FileNotFoundError):
                    shutil.copy2(Path(folder, name), there / name)


async def _at_once(url: str, read: Callable[[AsyncSession], Awaitable[T]]) -> T:
    """What `read` finds in one snapshot of the database."""
    engine = open_engine(url)
    try:
        async with session(engine, snapshot=True) as opened:
            return await read(opened)
    finally:
        await engine.dispose()


_FAILURES = (
    BackupError, ClientError, EmbeddedError, SchemaError, SettingsError, OSError, psycopg.Error,
    asyncpg.PostgresError, SQLAlchemyError,
)  # fmt: skip


@click.command("backup")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_audio
def backup_command(folder: Path, audio: bool) -> None:
    """Write database, secrets and audio into the new folder FOLDER. Nothing is stopped meanwhile.

    The source is the running stack, a stopped one's CODEVOICE_HOME, or DATABASE_URL with
    CODEVOICE_DATABASE_OWNER_URL. FOLDER contains secrets: protect it as you protect them.
    """
    with failing_on(*_FAILURES):
        backup(os.environ, folder, audio=audio)
    click.echo(f"the backup is in {folder}")


@click.command("restore")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_audio
def restore_command(folder: Path, audio: bool) -> None:
    """Restore the backup in FOLDER into a CODEVOICE_HOME without data, then audit it.

    Or into the empty database of DATABASE_URL and CODEVOICE_DATABASE_OWNER_URL. The exit status is 0 only if
    the audit is clean, and the ledger still has the heads that it had when it was backed up.
    """
    with failing_on(*_FAILURES):
        found = restore(os.environ, folder, audio=audio)
    for finding in found.findings:
        click.echo(f"{finding.what}: {finding.id}")
    clean = "clean" if found.clean else f"{len(found.findings)} defects"
    click.echo(f"restored {found.wallets} accounts with {found.transfers} transfers; audit: {clean}")
    if not found.clean:
        raise SystemExit(1)
