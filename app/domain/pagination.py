"""Cursor pagination of lists, newest first."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.domain.errors import Invalid
from db.postgres.models import Base

T = TypeVar("T", bound=Struct)
PAGE_MAX = 500


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list; `next_cursor` requests the page after it, and is null on the last one."""

    items: list[T]
    next_cursor: str | None


async def page(
    fetch: Callable[[Any, int], Awaitable[Sequence[T]]], *, mark: str, limit: int, cursor: str | None
) -> Page[T]:
    """One page of a list whose items have a unique `mark`; `fetch(after, n)` returns the next n items.

    Raises Invalid for a limit out of range or a malformed cursor.
    """
    if not 1 <= limit <= PAGE_MAX:
        raise Invalid(f"A page has 1 to {PAGE_MAX} items.", field="limit", limit=[1, PAGE_MAX])
    after = None if cursor is None else _read_cursor(cursor, int if mark in ("seq", "version") else UUID)
    items = list(await fetch(after, limit + 1))
    is_last = len(items) <= limit
    return Page(items=items[:limit], next_cursor=None if is_last else str(getattr(items[limit - 1], mark)))


async def select_page(
    session: AsyncSession,
    wanted: Select[*tuple[Any, ...]],
    make: Callable[..., T],
    *newest: InstrumentedAttribute[Any],
    mark: str,
    limit: int,
    cursor: str | None,
) -> Page[T]:
    """One page of a SELECT, ordered by the columns `newest`, of which the last is the mark's."""

    async def fetch(after: Any, count: int) -> Sequence[T]:
        found = wanted.order_by(*(column.desc() for column in newest)).limit(count)
        if after is not None:
            last = select(*newest).where(newest[-1] == after).correlate(None).scalar_subquery()
            found = found.where(newest[0] < after if len(newest) == 1 else tuple_(*newest) < last)
        return [make(**row) for row in (await session.execute(found)).mappings()]

    return await page(fetch, mark=mark, limit=limit, cursor=cursor)


def select_fields(model: type[Base], row: type[Struct], **names: str) -> Select[*tuple[Any, ...]]:
    """A SELECT of the columns of a Struct's fields; `names`: columns that are called otherwise."""
    return select(*(getattr(model, names.get(name, name)).label(name) for name in row.__struct_fields__))


def _read_cursor(cursor: str, kind: type[int] | type[UUID]) -> UUID | int:
    try:
        found = kind(cursor)
    except ValueError:
        found = -1
    if isinstance(found, int) and not 0 <= found < 2**63:
        raise Invalid("This cursor is not one we gave out.", field="cursor")
    return found
