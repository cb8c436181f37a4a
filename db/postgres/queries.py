"""Loads SQL from `sql/` by name: whole scripts, and the statements of `queries.sql`.

Tables, functions and views are created by the revisions in `migrations/`.
"""

import re
from functools import cache
from pathlib import Path
from typing import LiteralString, cast

_SQL = Path(__file__).with_name("sql")


@cache
def script(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")


@cache
def query(name: str) -> LiteralString:
    """The statement under `-- name: <name>` in `queries.sql`, with $1, $2 … for parameters."""
    return _statements()[name]


@cache
def _statements() -> dict[str, LiteralString]:
    parts = re.split(r"^-- name: (\w+).*$", script("queries"), flags=re.MULTILINE)
    return {
        name: cast("LiteralString", text.strip()) for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }
