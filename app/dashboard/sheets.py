"""Tables as CSV files."""

import csv
import io
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence

from litestar.response import Stream

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_TYPE = "text/csv; charset=utf-8"


def sheet(name: str, head: Sequence[str], rows: AsyncIterable[Sequence[object]]) -> Stream:
    """The table as a file to be saved, sent while it is read."""
    disposition = f'attachment; filename="{name}"'
    headers = {"Content-Disposition": disposition, "Cache-Control": "no-store"}
    return Stream(_lines(head, rows), headers=headers, media_type=_TYPE)


async def each(rows: Iterable[Sequence[object]]) -> AsyncIterator[Sequence[object]]:
    """Rows that are here already."""
    for row in rows:
        yield row


async def _lines(head: Sequence[str], rows: AsyncIterable[Sequence[object]]) -> AsyncIterator[str]:
    yield _line(head)
    async for row in rows:
        yield _line(row)


def _line(cells: Sequence[object]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow([_cell(cell) for cell in cells])
    return written.getvalue()


def _cell(cell: object) -> object:
    """Words that a spreadsheet would take for a formula are marked as words."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULAS) else cell
