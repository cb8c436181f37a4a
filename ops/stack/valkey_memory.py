"""The memory limit of the Valkey that we start."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from db.settings import read


class ValkeySettings(Struct, frozen=True, kw_only=True):
    """The operator's settings for it."""

    redis_memory_max_mb: Annotated[int, Meta(ge=16)] = 256


def memory_max_mb(environ: Mapping[str, str]) -> int:
    """The limit in megabytes. Raises SettingsError."""
    return read(ValkeySettings, environ).redis_memory_max_mb
