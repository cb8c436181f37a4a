"""How much memory the Valkey that we start may take."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from db.settings import read


class ValkeySettings(Struct, frozen=True, kw_only=True):
    """What an operator may choose of it."""

    redis_memory_max_mb: Annotated[int, Meta(ge=16)] = 256


def memory_max_mb(environ: Mapping[str, str]) -> int:
    """Megabytes. Raises SettingsError."""
    return read(ValkeySettings, environ).redis_memory_max_mb
