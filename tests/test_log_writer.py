"""Lines reach the stream whole and in order, and nobody waits for one that isn't read."""

import io
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from service.log_writer import LogWriter

SCRIPT = """
import logging, structlog
from service.logs import LogControl, configure
configure(LogControl(), style="json")
for number in range(1000):
    structlog.get_logger().info("own", number=number)
    logging.getLogger("library").warning("library %d" % number)
"""


def test_all_is_written_in_order() -> None:
    """From any thread, each line whole; what is left is written at the end."""
    stream = io.StringIO()
    writer = LogWriter(stream)
    threads = [
        threading.Thread(target=lambda mine=mine: [writer.write(f"{mine} {n}\n") for n in range(500)])
        for mine in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()

    lines = [line.split() for line in stream.getvalue().splitlines()]
    assert 2000 == len(lines)
    for mine in range(4):
        assert [*range(500)] == [int(number) for own, number in lines if int(own) == mine]


def test_what_is_logged_last_is_written_when_the_process_ends() -> None:
    """Ours and the libraries', in order, though a thread writes them."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    lines = [json.loads(line) for line in done.stderr.splitlines()]

    assert [*range(1000)] == [line["number"] for line in lines if line["event"] == "own"]
    assert lines[1]["event"].startswith("library 0")


def test_nobody_waits_for_a_reader_that_stops() -> None:
    """Writing returns at once, and so, after some seconds, does the end; how many were lost is told to one who comes
    back.
    """
    readable, writable = os.pipe()
    with os.fdopen(writable, "w") as stream, os.fdopen(readable, "rb", buffering=0) as reader:
        writer = LogWriter(stream, most=100)
        begun = time.monotonic()
        for _ in range(5_000):
            writer.write("x" * 999 + "\n")
        assert time.monotonic() - begun < 2

        text = b""
        while not text.endswith(b"}\n"):
            text += reader.read(65536)
        told = json.loads(text.splitlines()[-1])
        assert "the log was read too slowly: lines are lost" == told["event"]
        assert 5_000 == told["lost"] + len(text.splitlines()) - 1
        writer.close()


def test_a_reader_that_has_gone_is_no_error() -> None:
    """Lines go nowhere then, and the process goes on."""
    readable, writable = os.pipe()
    os.close(readable)
    stream = os.fdopen(writable, "w")
    writer = LogWriter(stream)
    for _ in range(10):
        writer.write("line\n")
    writer.close()
    with pytest.raises(BrokenPipeError):
        stream.close()
