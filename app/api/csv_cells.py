"""Words in CSV files that no spreadsheet takes for a formula."""

import re

# With which a spreadsheet's formulas begin, full-width forms included; it passes over blanks and line breaks.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_SEPARATORS = re.compile(r"[;\t\n\r]\s*[=+\-@＝＋－＠]")  # where a cell begins for who splits elsewhere


def marked(cell: object) -> object:
    """The cell as it is written: what a spreadsheet would take for a formula is marked as words."""
    if not isinstance(cell, str):
        return cell
    is_marked = cell.startswith(_FORMULAS) or cell.lstrip().startswith(_FORMULAS)
    return f"'{_SEPARATORS.sub(_apart, cell)}" if is_marked or _SEPARATORS.search(cell) else cell


def _apart(found: re.Match[str]) -> str:
    """The separator, and the formula behind it marked."""
    return f"{found[0][:-1]}'{found[0][-1]}"
