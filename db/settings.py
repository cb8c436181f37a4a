"""Settings from the environment: one frozen Struct a room, every field a variable with its unit."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

S = TypeVar("S", bound=Struct)


class SettingsError(Exception):
    """A variable is missing or wrong; the message names it."""


class DbSettings(Struct, frozen=True, kw_only=True):
    """Where the record is, and how it is reached."""

    database_url: str  # application role
    redis_url: str
    objects: str  # file:///folder or s3://bucket?endpoint=…&region=…
    database_owner_url: str = ""  # migrations only
    pool_connections: int = 16
    statement_timeout_ms: int = 30_000
    # Of the disk of a store that is a folder: below either, no job is taken.
    store_free_bytes_min: Annotated[int, Meta(ge=0)] = 1 << 30
    store_free_percent_min: Annotated[float, Meta(ge=0, le=100)] = 5.0


_BARE = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}


def variable(field: str) -> str:
    """The environment variable that sets `field`."""
    return _BARE.get(field, f"CODEVOICE_{field.upper()}")


def read(kind: type[S], environ: Mapping[str, str]) -> S:
    """`kind` filled from `environ`; raises SettingsError naming the variable at fault."""
    given = {f: environ[variable(f)] for f in kind.__struct_fields__ if environ.get(variable(f), "") != ""}
    for info in msgspec.structs.fields(kind):
        if info.required and info.name not in given:
            raise SettingsError(f"{variable(info.name)} is not set")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        field = str(error).rpartition("`$.")[2].rstrip("`")
        raise SettingsError(f"{variable(field)}: {str(error).partition(' - at')[0]}") from None


def data_folder(environ: Mapping[str, str]) -> Path:
    """CODEVOICE_HOME, by default `codevoice` in the user's data folder. Nothing is made."""
    chosen = environ.get("CODEVOICE_HOME", "")
    if not chosen:
        chosen = os.path.join(environ.get("XDG_DATA_HOME") or "~/.local/share", "codevoice")
    return Path(os.path.abspath(os.path.expanduser(chosen)))
