"""Programs of ours that a run starts beside itself."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The folder that they are started in, so that they find our packages."""


def bound(module: str, *words: str) -> Sequence[str]:
    """The command that runs `module` with these arguments.

    Where util-linux is there, the kernel ends it if this process is killed and can't do so itself.
    """
    setpriv = shutil.which("setpriv")
    return [*([setpriv, "--pdeathsig", "TERM"] if setpriv else []), sys.executable, "-m", module, *words]
