"""Structured logs: JSON lines, or coloured text when a person watches. What is logged may change while it runs.

A line says which request it is about where that is known, and nothing that a request holds. Warnings and errors that
come in bursts are counted and said once: `suppressed` says how many more there were.
"""

import atexit
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO, TypeAlias, cast

import msgspec
import structlog

from service.log_limit import Event, LogLimit
from service.log_writer import LogWriter

_OF_CLIENTS = (
    "ExecuteBatchError raised in core",  # the client has gone
    "Invalid encoding on",
    "Unexpected [DecodeError] raised",
)
"""How lines begin that gRPC writes as errors, though clients cause them: as often as they like, and in their words."""
_KINDS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "critical": "error"}
_LIMITED = frozenset({"warning", "error", "critical"})
"""Levels of lines that clients may cause. The others say what the operator does, and what was asked for."""

Line: TypeAlias = MutableMapping[str, Any]


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

    limit, writer = LogLimit(_tell_suppressed), LogWriter(sys.stderr)

    def drop(_logger: object, _method: str, line: Line) -> Line:
        level = line["level"]
        if not control.settings.takes(level):
            raise structlog.DropEvent
        limited = level in _LIMITED and "suppressed" not in line
        if limited and not limit.takes((level, str(line["event"]), str(line.get("model", "")))):
            raise structlog.DropEvent
        return line

    def passes(record: logging.LogRecord) -> bool:
        level = record.levelname.lower()
        if not control.settings.takes(level) or _is_of_client(record):
            return False
        return limit.takes((level, str(record.msg), record.name))

    known: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.MaybeTimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*known[:2], drop, *known[2:], renderer],
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", writer)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(writer)
    finish = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[finish, renderer], foreign_pre_chain=known))
    handler.addFilter(passes)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    atexit.register(writer.close)
    atexit.register(limit.flush)  # before, since the last registered is the first called


def _tell_suppressed(event: Event, count: int) -> None:
    level, text, about = event
    log = structlog.get_logger()
    getattr(log, level)(text, suppressed=count, **({"about": about} if about else {}))


def _is_of_client(record: logging.LogRecord) -> bool:
    return record.name.startswith("grpc.") and record.getMessage().startswith(_OF_CLIENTS)
