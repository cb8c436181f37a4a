"""Logs: one JSON object a line on stderr, constant event names, never text, keys or passwords."""

import logging
import sys

import structlog


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
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
