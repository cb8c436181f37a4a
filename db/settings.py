"""Reads settings from the environment into frozen Structs: each field is a variable, named with its unit.

A field that is a Struct is a group: what one component takes. Its fields are variables in the same way.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

S = TypeVar("S", bound=Struct)
Secret = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="32 random bytes in hexadecimal")]
PositiveInt = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


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
    try:
        return msgspec.convert(_given(kind, environ), kind, strict=False)
    except msgspec.ValidationError as error:
        field = str(error).rpartition(".")[2].rstrip("`")
        raise SettingsError(f"{variable(field)}: {str(error).partition(' - at')[0]}") from None


def variables(kind: type[Struct]) -> Iterator[str]:
    """Every variable that `read` looks up for `kind`."""
    for info in msgspec.structs.fields(kind):
        yield from variables(info.type) if _is_group(info.type) else [variable(info.name)]


def _given(kind: type[Struct], environ: Mapping[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for info in msgspec.structs.fields(kind):
        if _is_group(info.type):
            given[info.name] = _given(info.type, environ)
        elif value := environ.get(variable(info.name), ""):
            given[info.name] = value
        elif info.required:
            raise SettingsError(f"{variable(info.name)} is not set")
    return given


def _is_group(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def data_folder(environ: Mapping[str, str]) -> Path:
    """CODEVOICE_HOME, by default `codevoice` in the user's data folder. The folder is not created."""
    chosen = environ.get("CODEVOICE_HOME", "")
    if not chosen:
        chosen = os.path.join(environ.get("XDG_DATA_HOME") or "~/.local/share", "codevoice")
    return Path(os.path.abspath(os.path.expanduser(chosen)))
