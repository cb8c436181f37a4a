"""Reads settings from the environment into frozen Structs: each field is a variable, named with its unit."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

S = TypeVar("S", bound=Struct)


class SettingsError(Exception):
    """A variable is missing or invalid; the message names it."""


class DbSettings(Struct, frozen=True, kw_only=True):
    """Where Postgres, Redis and the object store are, and how they are reached."""

    database_url: str  # application role
    redis_url: str
    objects: str  # file:///folder or s3://bucket?endpoint=…&region=…
    database_owner_url: str = ""  # migrations only
    pool_connections: int = 16
    statement_timeout_ms: int = 30_000
    # For a store in a folder: with less free disk space than either, no job is accepted.
    store_free_bytes_min: Annotated[int, Meta(ge=0)] = 1 << 30
    store_free_percent_min: Annotated[float, Meta(ge=0, le=100)] = 5.0


_BARE = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}


def variable(field: str) -> str:
    """The environment variable that sets `field`."""
    return _BARE.get(field, f"CODEVOICE_{field.upper()}")


def read(kind: type[S], environ: Mapping[str, str]) -> S:
    """`kind` filled from `environ`. Raises SettingsError, naming the variable at fault."""
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
    """CODEVOICE_HOME, by default `codevoice` in the user's data folder. The folder is not created."""
    chosen = environ.get("CODEVOICE_HOME", "")
    if not chosen:
        chosen = os.path.join(environ.get("XDG_DATA_HOME") or "~/.local/share", "codevoice")
    return Path(os.path.abspath(os.path.expanduser(chosen)))
