"""Cursor pagination of lists, newest first."""

from collections.abc import Callable
from typing import Any, Generic, LiteralString, TypeVar
from uuid import UUID

from msgspec import Struct

from app.domain.errors import Invalid
from db.postgres.pool import Connection

T = TypeVar("T")
PAGE_MAX = 500


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list; `next_cursor` requests the page after it, and is null on the last one."""

    items: list[T]
    next_cursor: str | None


async def page(
    connection: Connection,
    statement: LiteralString,
    *arguments: Any,
    limit: int,
    cursor: str | None,
    make: Callable[[Any], T],
    mark: str,
) -> Page[T]:
    """One page of a statement whose last parameters are the cursor (a value of column `mark`) and the limit.

    Raises Invalid for a limit out of range or a malformed cursor.
    """
    if not 1 <= limit <= PAGE_MAX:
        raise Invalid(f"A page has 1 to {PAGE_MAX} items.", field="limit", limit=[1, PAGE_MAX])
    after = None if cursor is None else _read_cursor(cursor, int if mark in ("seq", "version") else UUID)
    rows = await connection.fetch(statement, *arguments, after, limit + 1)
    items = [make(row) for row in rows[:limit]]
    return Page(items=items, next_cursor=str(rows[limit - 1][mark]) if len(rows) > limit else None)


def _read_cursor(cursor: str, kind: type[int] | type[UUID]) -> UUID | int:
    try:
        found = kind(cursor)
    except ValueError:
        found = -1
    if isinstance(found, int) and not 0 <= found < 2**63:
        raise Invalid("This cursor is not one we gave out.", field="cursor")
    return found
