"""Structured logs: JSON lines, or coloured text when a person watches."""

import logging
import sys
from typing import Literal

import structlog


def configure(*, style: Literal["auto", "json", "text"] = "auto", level: str = "info") -> None:
    """Write logs to stderr, in JSON or as text for people; `auto` means JSON unless stderr is a terminal."""
    as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
