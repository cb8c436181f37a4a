"""Logging: one JSON object a line on stderr, constant event names, never text, keys or passwords."""

import asyncio
import atexit
import logging
import re
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from types import TracebackType
from typing import TextIO, cast
from uuid import UUID

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

_UUID_CHARACTERS = 36
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


class _Lines:
    """Writes lines to stderr, and ignores errors: a full disk must not stop the process."""

    has_info = False  # until configured

    def __init__(self) -> None:
        self._gathered: list[str] = []

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def gather(self, line: str) -> None:
        """Write the line with all others of this iteration of the event loop, since writes are expensive."""
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self.write_gathered)
        self._gathered.append(line)

    def write_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            self.write("".join(gathered))

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


_LINES = _Lines()
_request_id: ContextVar[str] = ContextVar("request_id", default="")
_ENCODER = msgspec.json.Encoder()


def configure(level: str = "info") -> None:
    """Set up structlog and silence the libraries. Called once, by a process's main."""
    atexit.register(_LINES.write_gathered)
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format='{"event": "library", "name": "%(name)s"}'
    )
    _LINES.has_info = level in ("debug", "info")
    structlog.configure(
        processors=[
            _with_request,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            _trace,
            _without_ids,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _LINES)),
        cache_logger_on_first_use=True,
    )


def request_done(**fields: str | int | float) -> None:
    """Log a finished request. Call it from the event loop."""
    if _LINES.has_info:
        _LINES.gather(_line("request", {**fields, "request_id": request_id()}))


def attempt_done(**fields: str | int | None) -> None:
    """Log a finished attempt at a job; no field may reveal the job's id."""
    if _LINES.has_info:
        _LINES.write(_line("job", fields))


def _line(event: str, fields: Mapping[str, str | int | float | None]) -> str:
    """The line the processors above would write, at a tenth of their cost."""
    return f"{_ENCODER.encode({**fields, 'event': event, 'level': 'info', 'at': _now()}).decode()}\n"


def _now() -> str:
    second, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{_written(second)}.{nanoseconds // 1000:06d}Z"


@lru_cache(2)
def _written(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:19]


def request_id() -> str:
    """The current request's id; empty outside a request."""
    return _request_id.get()


def begin_request(request_id: str) -> None:
    """Add this id to all further events of this task, and of tasks started from it."""
    _request_id.set(request_id)


def _with_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if found := _request_id.get():
        event.setdefault("request_id", found)
    return event


def hashed(job: UUID) -> str:
    """A job's id as logs may show it, since the id itself grants access."""
    return sha256(job.bytes).hexdigest()[:12]


@lru_cache(4096)
def hashed_text(job: str) -> str:
    """`hashed` of an id in a path; cached, since clients poll for the same id repeatedly."""
    return hashed(UUID(job))


def _trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add an exception's type and stack, without its message, which may quote rows, texts and keys."""
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    if error is not None:
        event["error"] = type(error).__name__
        event["trace"] = _frames(error.__traceback__)
        if error.__cause__ is not None:
            event["cause"] = type(error.__cause__).__name__
            event["cause_trace"] = _frames(error.__cause__.__traceback__)
    return event


def _frames(trace: TracebackType | None) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


def _without_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hash the job ids in an event's fields, such as an object's key; the request id stays."""
    for name, value in event.items():
        if isinstance(value, str) and name != "request_id" and len(value) >= _UUID_CHARACTERS:
            event[name] = _UUID.sub(lambda found: hashed(UUID(found[0])), value)
    return event
