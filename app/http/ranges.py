"""Range and conditional requests (RFC 9110): one range of bytes, or the whole."""

import re
from typing import NamedTuple

from app.domain.errors import RangeNotSatisfiable

_ONE_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.IGNORECASE | re.ASCII)


class Part(NamedTuple):
    """Bytes from `start` to `end`; `end` is not included."""

    start: int
    end: int


def part_wanted(header: str | None, if_range: str | None, *, size_bytes: int, etag: str) -> Part | None:
    """The requested part; None: the whole, also if the header has several ranges or is malformed.

    Raises RangeNotSatisfiable if the part lies beyond the end.
    """
    if header is None or (if_range is not None and if_range.strip() != etag):
        return None
    found = _ONE_RANGE.fullmatch(header.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return _suffix(int(last), size_bytes)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size_bytes:
        raise RangeNotSatisfiable(size_bytes)
    return Part(start, min(int(last) + 1, size_bytes) if last else size_bytes)


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether the caller already has this version."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags


def _suffix(length: int, size_bytes: int) -> Part:
    if length == 0 or size_bytes == 0:
        raise RangeNotSatisfiable(size_bytes)
    return Part(max(0, size_bytes - length), size_bytes)
