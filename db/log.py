"""Logs: one JSON object a line on stderr, constant event names, never text, keys or passwords."""

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog


class _Lines:
    """Writes what it can: a full disk under the log must not stop the work."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def configure(level: str = "info") -> None:
    """Set up structlog and quiet the libraries; called once, by a process's main."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format='{"event": "library", "name": "%(name)s"}'
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Lines())),
        cache_logger_on_first_use=True,
    )
