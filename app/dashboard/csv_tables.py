"""Tables as CSV files."""

import csv
import io
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence

from app.api.csv_cells import escape_formula
from app.http.disconnects import LiveResponse

_TYPE = "text/csv"  # the framework adds the charset


def csv_response(name: str, head: Sequence[str], rows: AsyncIterable[Sequence[object]]) -> LiveResponse:
    """The table as a file download, sent while its rows are read."""
    disposition = f'attachment; filename="{name}"'
    headers = {"Content-Disposition": disposition, "Cache-Control": "no-store"}
    return LiveResponse(_lines(head, rows), headers=headers, media_type=_TYPE)


async def each(rows: Iterable[Sequence[object]]) -> AsyncIterator[Sequence[object]]:
    """Rows that are already in memory, as an asynchronous iterator."""
    for row in rows:
        yield row


async def _lines(head: Sequence[str], rows: AsyncIterable[Sequence[object]]) -> AsyncIterator[bytes]:
    yield _line(head)
    async for row in rows:
        yield _line(row)


def _line(cells: Sequence[object]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerow([escape_formula(cell) for cell in cells])
    return written.getvalue().encode()
