"""Triton's logging and trace settings: what they are, and that they stay as they are."""

import json
from typing import Any

from service.client.conformance.check import extension
from service.client.conformance.expectation import CheckFailed, applies, expect
from service.client.conformance.refusal import expect_refusal
from service.client.conformance.specification import LOGGING, TRACE
from service.client.conformance.target import Target

_LOGGING, _TRACE = "/v2/logging", "/v2/trace/setting"
_KINDS: dict[tuple[str, ...], type] = {
    ("log_info",): bool,
    ("log_warning", "log_warnings"): bool,
    ("log_error", "log_errors"): bool,
    ("log_verbose_level",): int,
    ("log_format",): str,
}
"""What each setting is; the document has plurals where Triton has none."""


@extension("http.logging.settings", LOGGING, "logging")
def logging(target: Target) -> None:
    """GET v2/logging has flags for info, warning and error, a verbose level from 0 on, and the format's name."""
    found = target.http.get(_LOGGING).object()
    for names, kind in _KINDS.items():
        value = next((found[name] for name in names if name in found), None)
        expect(type(value) is kind, f"expected {names[0]} to be {kind.__name__}, got {value!r}")
    expect(found["log_format"] in {"default", "ISO8601"}, f"expected default or ISO8601, got {found['log_format']!r}")


@extension("http.logging.change", LOGGING, "logging")
def logging_change(target: Target) -> None:
    """POST v2/logging sets what it names and answers with all settings: here, one to what it is already."""
    before = target.http.get(_LOGGING).object()
    answer = target.http.post(_LOGGING, json.dumps({"log_info": before.get("log_info")}).encode())
    applies(answer.status not in {401, 403, 405}, f"settings can't be changed from here ({answer.brief})")
    found = answer.object() if answer.body else target.http.get(_LOGGING).object()
    expect(found == before, f"expected {before}, got {found}")


@extension("http.logging.unknown", LOGGING, "logging")
def logging_unknown(target: Target) -> None:
    """A setting that doesn't exist changes nothing, whether it is refused or passed over."""
    before = target.http.get(_LOGGING).object()
    answer = target.http.post(_LOGGING, json.dumps({"no_such_setting": True}).encode())
    if answer.status != 200:
        expect_refusal(answer, "the setting no_such_setting")
    found = target.http.get(_LOGGING).object()
    expect(found == before, f"expected {before} as before, got {found}")


@extension("http.trace.settings", TRACE, "trace")
def trace(target: Target) -> None:
    """GET v2/trace/setting has trace_level as a list of strings, trace_rate and log_frequency as strings."""
    _expect_trace(target.http.get(_TRACE).object())


@extension("http.trace.model", TRACE, "trace")
def trace_of_model(target: Target) -> None:
    """A model has the same settings at v2/models/NAME/trace/setting."""
    _expect_trace(target.http.get(target.path("/trace/setting")).object())


def _expect_trace(found: dict[str, Any]) -> None:
    level = found.get("trace_level")
    if not isinstance(level, list) or not all(isinstance(one, str) for one in level):
        raise CheckFailed(f"expected trace_level to be a list of strings, got {level!r}")
    for key in ("trace_rate", "log_frequency"):
        expect(isinstance(found.get(key), str), f"expected {key} to be a string, got {found.get(key)!r}")


CHECKS = (logging, logging_change, logging_unknown, trace, trace_of_model)
