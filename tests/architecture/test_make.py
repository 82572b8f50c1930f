"""The verbs of the Makefile."""

import re
import subprocess
from collections.abc import Callable

from tests.architecture.sources import ROOT


def test_make_lists_every_verb(require_tool: Callable[[str], str]) -> None:
    """Bare `make` prints each verb with a line of help, and does nothing else."""
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    done = subprocess.run([require_tool("make")], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = re.findall(r"^  make ([\w-]+) +\S", done.stdout, re.MULTILINE)

    assert phony is not None
    assert phony[1].split() == listed


def test_old_python_is_refused(require_tool: Callable[[str], str]) -> None:
    """An interpreter that is too old, or not one at all, is named in one line before anything is made."""
    command = [require_tool("make"), "PYTHON=false", "VENV=/nonexistent/.venv", "setup"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "false isn't Python 3.11 or later; name one: make PYTHON=" in done.stderr
