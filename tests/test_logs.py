import json
import subprocess
import sys

import pytest

from service.logs import LogSettings

SCRIPT = """
import logging, sys, warnings
import structlog
from service.logs import LogControl, LogSettings, configure

log = structlog.get_logger()
control = LogControl(sys.argv[1])
configure(control, style="json")

def say():
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(log, level)("own", said=level)
    for level in ("info", "warning", "error"):
        getattr(logging.getLogger("library"), level)(level)

say()
log.error("changed")
control.change(LogSettings(info=False, warning=False, verbose_level=1))
say()
"""


@pytest.mark.parametrize(
    "level,first",
    [
        ("debug", ["debug", "info", "warning", "error", "critical", "warning", "error"]),
        ("info", ["info", "warning", "error", "critical", "warning", "error"]),
        ("error", ["error", "critical", "error"]),
    ],
)
def test_lines_are_written_as_is_set(level: str, first: list[str]) -> None:
    """From the start, and after a change at once, of loggers that were there before; what libraries say, too."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, level], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    turn = [line["event"] for line in lines].index("changed")

    assert first == [line["level"] for line in lines[:turn]]
    assert ["debug", "error", "critical", "error"] == [line["level"] for line in lines[turn + 1 :]]
    assert all(line["timestamp"] for line in lines)
    assert "" == done.stdout


def test_what_clients_make_grpc_say_is_not_written() -> None:
    """Its lines are as many as a client likes, and hold what it sent; others of gRPC's are written."""
    script = (
        "import logging; from service.logs import LogControl, configure; configure(LogControl(), style='json')\n"
        "log = logging.getLogger('grpc._cython.cygrpc')\n"
        "log.error('Invalid encoding on %s', b'ff'); log.error('Unexpected [ValueError] raised')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ["Unexpected [ValueError] raised"] == [json.loads(line)["event"] for line in done.stderr.splitlines()]


def test_a_level_is_what_is_at_least_as_severe() -> None:
    """Debug lines are the verbose ones."""
    assert LogSettings(verbose_level=1) == LogSettings.of_level("debug")
    assert LogSettings() == LogSettings.of_level("info")
    assert LogSettings(info=False, warning=False) == LogSettings.of_level("error")


def test_a_burst_is_said_once() -> None:
    """Of our own lines and of libraries': so many, and at the end how many more there were. What was asked for, such as
    lines that inform, is written in full.
    """
    script = (
        "import logging, structlog; from service.logs import LogControl, configure\n"
        "configure(LogControl(), style='json'); log = structlog.get_logger()\n"
        "for number in range(100):\n"
        "    log.error('own', model='m', number=number); log.info('asked for')\n"
        "    logging.getLogger('library').warning('number %d', number)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]

    assert 100 == sum(line["event"] == "asked for" for line in lines)
    own = [line for line in lines if line["event"] == "own"]
    assert [*range(10), None] == [line.get("number") for line in own]
    assert (90, "m", "error") == (own[-1]["suppressed"], own[-1]["about"], own[-1]["level"])
    library = [line for line in lines if line["event"].startswith("number")]
    assert (11, 90) == (len(library), library[-1]["suppressed"])
