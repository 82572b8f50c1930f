"""Structured logs: JSON lines, or coloured text when a person watches. What is logged may change while it runs."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import msgspec
import structlog

_OF_CLIENTS = (
    "ExecuteBatchError raised in core",  # the client has gone
    "Invalid encoding on",
    "Unexpected [DecodeError] raised",
)
"""How lines begin that gRPC writes as errors, though clients cause them: as often as they like, and in their words."""
_KINDS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "critical": "error"}


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are written; debug lines from a `verbose_level` of 1 on."""

    info: bool = True
    warning: bool = True
    error: bool = True
    verbose_level: int = 0

    @classmethod
    def of_level(cls, level: str) -> "LogSettings":
        """Those of the least severe level that is to be logged."""
        least = logging.getLevelNamesMapping()[level.upper()]
        return cls(
            info=least <= logging.INFO,
            warning=least <= logging.WARNING,
            verbose_level=int(least <= logging.DEBUG),
        )

    def takes(self, level: str) -> bool:
        """Whether lines of a level (debug, info, warning, error, critical) are written."""
        kind = _KINDS.get(level, "error")
        return self.verbose_level > 0 if kind == "debug" else getattr(self, kind)


class LogControl:
    """Owns what is logged. `locked` says why clients may not change it, empty where they may."""

    def __init__(self, level: str = "info", *, locked: str = "") -> None:
        self.settings = LogSettings.of_level(level)
        self.locked = locked

    def change(self, settings: LogSettings) -> None:
        """Log by these from now on."""
        self.settings = settings


def configure(control: LogControl, *, style: Literal["auto", "json", "text"] = "auto") -> None:
    """Write logs to stderr, in JSON or as text for people; `auto` means JSON unless stderr is a terminal.

    What libraries say through `logging` and `warnings` comes out the same way, from the level of a warning on.
    """
    as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )

    def drop(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if not control.settings.takes(line["level"]):
            raise structlog.DropEvent
        return line

    known: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*known[:2], drop, *known[2:], renderer],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    finish = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[finish, renderer], foreign_pre_chain=known))
    handler.addFilter(lambda record: control.settings.takes(record.levelname.lower()) and not _is_of_client(record))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)


def _is_of_client(record: logging.LogRecord) -> bool:
    return record.name.startswith("grpc.") and record.getMessage().startswith(_OF_CLIENTS)
