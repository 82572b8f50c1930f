"""A peer's own environment: what its requirements file pins, outside of Hone's."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from loadtests.served import ROOT

REQUIREMENTS = Path(__file__).parent / "requirements"
LIMIT_SECONDS = 900
LAST_LINES = 3


def add_option(parser: argparse.ArgumentParser) -> None:
    """`--environments`, of every command that starts peers."""
    default = ROOT / "runs" / "peers"
    parser.add_argument("--environments", type=Path, default=default, help="where the peers are installed (runs/peers)")


class PeerError(Exception):
    """A peer can't take part; the text says why, in a line or a few."""


def prepare(name: str, folder: Path, *, python: str = sys.executable) -> Path:
    """The interpreter of the environment of peer `name` under `folder`, installed now unless it is. Raises PeerError.

    `python` makes the environment. Another text in the requirements file makes it anew, and so does another
    interpreter; an environment of the same one is the same.
    """
    requirements = REQUIREMENTS / f"{name}.txt"
    home = folder / name
    interpreter, installed = home / "bin" / "python", home / "installed.txt"
    wanted = f"# {Path(python).resolve()}\n{requirements.read_text()}"
    if not installed.exists() or installed.read_text() != wanted:
        print(f"installing {name} into an environment of its own ...", flush=True)
        _run([python, "-m", "venv", "--clear", str(home)])
        _run([str(interpreter), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)])
        installed.write_text(wanted)
    return interpreter


def pinned(name: str) -> dict[str, str]:
    """What the requirements file of a peer pins: the peer itself first. Extras are left out of the names."""
    lines = (REQUIREMENTS / f"{name}.txt").read_text().split()
    return {line.partition("==")[0].partition("[")[0]: line.partition("==")[2] for line in lines}


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerError(f"installation failed: {error}") from error
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise PeerError("installation failed: " + " ".join(said[-LAST_LINES:]))
