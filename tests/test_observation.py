"""What is told of requests by default, and what is asked for."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from service.observation import calls_of
from service.settings import Settings
calls = calls_of(Settings.model_validate(SETTINGS))
print(calls is not None, "service.telemetry.otlp" in sys.modules, "opentelemetry.sdk" in sys.modules)
if calls:
    call = calls.begin("POST", "/", ())
    print(call.span is not None, call.told)
    calls.close()
"""


@pytest.mark.parametrize(
    "settings,said",
    [
        ({}, [["False", "False", "False"]]),
        ({"trace_sample_ratio": 1.0}, [["False", "False", "False"]]),
        ({"access_log": True}, [["True", "False", "False"], ["False", "True"]]),
        ({"otlp_endpoint": "http://127.0.0.1:9"}, [["True", "True", "True"], ["True", "True"]]),
        ({"otlp_endpoint": "http://127.0.0.1:9", "trace_sample_ratio": 0}, [["True"] * 3, ["True", "False"]]),
    ],
)
def test_nobody_listens_who_was_not_asked_for(settings: dict[str, object], said: list[list[str]]) -> None:
    """Then there are no calls, so that doors and engine are those that know of none; what speaks to a collector is
    imported only where there is one.
    """
    program = PROGRAM.replace("SETTINGS", repr(settings))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said == [line.split() for line in done.stdout.splitlines()]
