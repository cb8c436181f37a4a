"""Output on stdout: JSON, tables on a terminal, tab-separated lines otherwise."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import rich_click as click
from msgspec import UNSET, Struct

from app.domain.admin.credits import Leg
from app.domain.pagination import Page


def as_json(answer: Any) -> None:
    """One line of JSON."""
    click.echo(msgspec.json.encode(answer))


def page(found: Page[Any], *columns: str, in_json: bool) -> None:
    """A page of a list; how to continue is printed on stderr."""
    if in_json:
        as_json(found)
        return
    table(found.items, *columns)
    if found.next_cursor is not None:
        click.echo(f"more: --cursor {found.next_cursor}", err=True)


def table(rows: Sequence[Any], *columns: str) -> None:
    """Some fields of each row, one line per row."""
    lines = [[_cell(getattr(row, column)) for column in columns] for row in rows]
    if not sys.stdout.isatty():
        click.echo("\n".join("\t".join(line) for line in [list(columns), *lines]))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns)
    for line in lines:
        shown.add_row(*(Text(cell) for cell in line))
    Console().print(shown)


def one(answer: Struct, *, in_json: bool) -> None:
    """One object, as JSON or as facts."""
    if in_json:
        as_json(answer)
    else:
        facts(answer)


def facts(answer: Struct) -> None:
    """One object: a line for each field that is not empty."""
    for name, value in msgspec.structs.asdict(answer).items():
        if value is not None and value is not UNSET:
            click.echo(f"{name} {_cell(value)}")


def dry_run(code: str, account: object, entries: Sequence[Leg], *, in_json: bool) -> None:
    """What an operation would have written."""
    if in_json:
        as_json({"dry_run": True, "code": code, "account": account, "entries": entries})
        return
    click.echo(f"would be {code}; nothing was written", err=True)
    table(entries, "seq", "bucket", "amount", "actor", "reason")


def _cell(value: Any) -> str:
    """A value as one line, without control characters that move a terminal's cursor."""
    if value is None or value == []:
        return "-"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, list | tuple):
        return ",".join(_cell(part) for part in value)
    return "".join(letter if letter.isprintable() else "�" for letter in str(value))
