"""Triton's trace extension: which requests are traced, by the names that the protocol has for it.

Every value is a string, but for the levels, which are several.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import InvalidRequest, Unsupported
from service.protocol.engine_port import Engine
from service.protocol.gate import check_unlocked
from service.quoting import listed, quoted
from service.trace_file import TraceFile
from service.tracing import ALL, OFF

_MODE = "triton"
_NUMBERS = {
    "trace_rate": ("rate", 1, 2**32 - 1, "how many requests one trace is taken from"),
    "trace_count": ("count", -1, 2**31 - 1, "how many traces are still taken, -1 for no end"),
    "log_frequency": ("log_frequency", 0, 2**32 - 1, "how many traces a file takes, 0 for all in one"),
}
_NUMBER = re.compile(r"-?[0-9]{1,10}", re.ASCII)


def trace_settings(engine: Engine, model: str | None) -> dict[str, str | list[str]]:
    """What holds for a model, or for all that have no settings of their own. Raises ModelNotFound.

    Of the file only its name is told: where it lies is nobody's business who can merely ask.
    """
    name = _known(engine, model)
    traces = engine.traces
    settings = traces.settings(name)
    return {
        "trace_level": [settings.level],
        **{key: str(getattr(settings, field)) for key, (field, *_) in _NUMBERS.items()},
        "trace_file": traces.file.path.name if traces.file else "",
        "trace_mode": _MODE,
    }


def change_trace_settings(engine: Engine, model: str | None, changes: Mapping[str, Any]) -> None:
    """Set what `changes` name; null or nothing takes back what was set.

    Raises ModelNotFound, Forbidden, Unsupported or InvalidRequest, and then changes nothing.
    """
    name = _known(engine, model)
    if not changes:
        return
    traces = engine.traces
    check_unlocked("trace", traces.locked)
    wanted: dict[str, Any] = {}
    for key, value in changes.items():
        if key == "trace_file":
            raise Unsupported("trace_file can't be set: the server writes where --trace-file says")
        texts = _texts(key, value)
        if key in _NUMBERS:
            wanted[_NUMBERS[key][0]] = _number(key, texts)
        elif key == "trace_level":
            wanted["level"] = _level(texts, traces.file)
        elif key == "trace_mode":
            _check_mode(texts)
        else:
            raise InvalidRequest(f"{quoted(key)} isn't known, there are {listed(trace_settings(engine, model))}")
    traces.change(name, wanted)


def _known(engine: Engine, model: str | None) -> str:
    """What the settings of a model are found by. Raises ModelNotFound."""
    if not model:
        return ALL
    engine.model_ready(model, None)
    return model


def _texts(key: str, value: object) -> Sequence[str]:
    """A value as the strings that it consists of, none for what is to be taken back."""
    if value is None or value == "":
        return ()
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidRequest(f"{key} is {quoted(value)}, expected a string or a list of strings")
    return texts


def _number(key: str, texts: Sequence[str]) -> int | None:
    if not texts:
        return None
    _, least, most, meaning = _NUMBERS[key]
    text = texts[0]
    if len(texts) > 1 or not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        told = quoted(text) if len(texts) == 1 else quoted(list(texts))
        raise InvalidRequest(f"{key} is {told}, expected {meaning}: a number from {least} to {most}, as a string")
    return int(text)


def _level(texts: Sequence[str], file: TraceFile | None) -> str | None:
    if not texts:
        return None
    for text in texts:
        if text not in (OFF, "TIMESTAMPS", "TENSORS"):
            raise InvalidRequest(f"trace_level is {quoted(text)}, expected OFF or TIMESTAMPS")
    if "TENSORS" in texts:
        raise Unsupported("trace_level TENSORS isn't implemented: traces hold times, and no data of clients")
    if len(set(texts)) > 1:
        raise InvalidRequest("trace_level OFF goes with no other")
    if texts[0] != OFF and file is None:
        raise InvalidRequest(f"trace_level can't be {texts[0]}: the server was started without --trace-file")
    if texts[0] != OFF and file and file.reached:
        raise InvalidRequest(f"trace_level can't be {texts[0]}: traces have reached {file.reached}")
    return texts[0]


def _check_mode(texts: Sequence[str]) -> None:
    if list(texts) == ["opentelemetry"]:
        raise Unsupported("trace_mode opentelemetry can't be set: spans are sent where --otlp-endpoint says")
    if texts and list(texts) != [_MODE]:
        raise InvalidRequest(f"trace_mode is {quoted(texts[0])}, expected {_MODE}")
