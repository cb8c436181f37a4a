"""Escapes CSV cells so that no spreadsheet treats them as formulas."""

import re

# How a spreadsheet's formulas begin, full-width forms included; leading blanks and line breaks are skipped.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
# Where a formula begins for programs that split cells at other separators.
_SEPARATORS = re.compile(r"[;\t\n\r]\s*[=+\-@＝＋－＠]")


def escape_formula(cell: object) -> object:
    """The cell to write: text that a spreadsheet would treat as a formula is prefixed with an apostrophe."""
    if not isinstance(cell, str):
        return cell
    is_formula = cell.startswith(_FORMULAS) or cell.lstrip().startswith(_FORMULAS)
    return f"'{_SEPARATORS.sub(_escape, cell)}" if is_formula or _SEPARATORS.search(cell) else cell


def _escape(found: re.Match[str]) -> str:
    """The separator, with the formula after it escaped."""
    return f"{found[0][:-1]}'{found[0][-1]}"
