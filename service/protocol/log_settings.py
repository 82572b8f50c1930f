"""Triton's logging extension: which lines the server writes, by the names that the protocol has for it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from service.errors import InvalidRequest, Unsupported
from service.logs import LogControl
from service.protocol.gate import check_unlocked
from service.quoting import listed, quoted

_MOST_VERBOSE = 2**32 - 1
_FORMAT = "ISO8601"
_FLAGS = {"log_info": "info", "log_warning": "warning", "log_error": "error"}


def log_settings(logs: LogControl) -> dict[str, str | int | bool]:
    """What is set. Lines always go to stderr, and times are always written by ISO 8601."""
    settings = logs.settings
    flags = {key: getattr(settings, name) for key, name in _FLAGS.items()}
    return {"log_file": "", **flags, "log_verbose_level": settings.verbose_level, "log_format": _FORMAT}


def change_log_settings(logs: LogControl, changes: Mapping[str, Any]) -> None:
    """Set what `changes` name. Raises Forbidden, Unsupported or InvalidRequest, and then changes nothing."""
    if not changes:
        return
    check_unlocked("log", logs.locked)
    wanted: dict[str, Any] = {}
    for key, value in changes.items():
        if key in _FLAGS:
            if not isinstance(value, bool):
                raise InvalidRequest(f"{key} is {quoted(value)}, expected true or false")
            wanted[_FLAGS[key]] = value
        elif key == "log_verbose_level":
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_VERBOSE:
                raise InvalidRequest(f"{key} is {quoted(value)}, expected 0 for none, or a level from 1 on")
            wanted["verbose_level"] = value
        elif key == "log_format":
            if value == "default":
                raise Unsupported(f'log_format can\'t be "default": times are written by ISO 8601, as "{_FORMAT}" says')
            if value != _FORMAT:
                raise InvalidRequest(f'{key} is {quoted(value)}, expected "{_FORMAT}"')
        elif key == "log_file":
            raise Unsupported("log_file can't be set: lines go to stderr")
        else:
            raise InvalidRequest(f"{quoted(key)} isn't known, there are {listed(log_settings(logs))}")
    logs.change(msgspec.structs.replace(logs.settings, **wanted))
