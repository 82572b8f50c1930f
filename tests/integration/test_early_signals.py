"""A signal that comes before the server listens for it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = "service.settings"
"""One of the first heavy imports: while it lasts, nothing of the server's own is there yet."""


@pytest.mark.parametrize("where", ["here()", "weakref.finalize(Finder(), here)"], ids=["call", "callback"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_start_up_ends_the_process_quietly(number: signal.Signals, where: str) -> None:
    """While modules are still being imported, SIGTERM and Ctrl-C end the process at once, by their code, silently; also
    in a callback, where an exception would be printed and forgotten.
    """
    program = f"""
import os, sys, weakref
def here():
    os.kill(os.getpid(), {int(number)})
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {MODULES!r}:
            {where}
sys.meta_path.insert(0, Finder())
sys.argv = ["hone-serve", "run", "--model-repository", "models"]
from service.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60, check=False)

    assert (128 + number, b"", b"") == (done.returncode, done.stdout, done.stderr)
