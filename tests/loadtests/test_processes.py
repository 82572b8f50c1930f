"""Starting, charging and ending servers: only what was started here is touched."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadtests.process_tree import cpu_seconds, wait_until_idle
from loadtests.served import ServerError, free_port, is_free, serving

BURN = "import time\nwhile time.process_time() < 0.3: pass"


def test_a_tree_is_charged_for_its_children() -> None:
    """Processor time of a running child counts, and so does that of one that has ended."""
    code = (
        f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {BURN!r}])\nprint(1, flush=True)\ninput()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 0.25 < cpu_seconds(process.pid) < 5
        process.communicate("\n")


@pytest.mark.parametrize("most, rests", [(0.3, True), (60.0, False)])
def test_what_is_still_computed_is_waited_for(most: float, rests: bool) -> None:
    """Until the process rests, but not for ever."""
    code = f"import time\nwhile time.process_time() < {most}: pass\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True) as process:
        assert rests == wait_until_idle(process.pid, patience=30.0 if rests else 1.0)
        assert cpu_seconds(process.pid) >= 0.25
        process.kill()


def test_server_is_ended_with_its_children() -> None:
    """A server and whatever it started are gone when the block ends."""
    port = free_port()
    code = (
        "import http.server, os, subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        body = str(child.pid).encode()\n"
        "        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers()\n"
        "        self.wfile.write(body)\n"
        f"http.server.HTTPServer(('127.0.0.1', {port}), H).serve_forever()\n"
    )
    with serving([sys.executable, "-c", code], port=port, ready="/") as served:
        children = Path(f"/proc/{served.pid}/task/{served.pid}/children").read_text().split()
        assert not is_free(port)

    assert len(children) == 1
    deadline = time.monotonic() + 5
    while Path(f"/proc/{children[0]}/cmdline").exists() and _runs(int(children[0])) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(int(children[0]))
    assert is_free(port)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_server_that_ends_says_why() -> None:
    """A server that can't start is reported with what it wrote last."""
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with pytest.raises(ServerError, match="no such model"), serving(command, port=free_port(), ready="/"):
        pass
