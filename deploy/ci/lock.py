"""Writes constraints.txt: the exact version of every package, direct or not, that any extra of pyproject.toml needs.

pip itself resolves, so what is locked is what pip will install. torch stays apart: it is pinned in the training extra,
because its builds (and what they need: CUDA libraries) differ by platform.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOGETHER = ("cpu", "openvino", "training", "loadtests", "dev")
"""Extras that one environment can hold. `gpu` replaces `cpu`, so it is resolved by itself."""

APART = re.compile(r"^(torch|triton|nvidia-(?!ml-py$).*|cuda-.*|hone-serve)$")
HEADER = """\
# Every version that `make` installs, for all extras. Written by `make lock` from pyproject.toml: don't edit.
# torch isn't here: the training extra pins it, and its builds differ by platform.
"""


def requirements(extras: tuple[str, ...]) -> list[str]:
    """The requirement lines of the core and of `extras`, as pyproject.toml says them."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines: list[str] = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return lines


def resolve(lines: list[str], pip_args: list[str], pins: dict[str, str]) -> dict[str, str]:
    """Name to version of everything that `lines` need, chosen by pip under `pins`; nothing is installed."""
    with tempfile.TemporaryDirectory() as folder:
        report, constraints = Path(folder, "report.json"), Path(folder, "pins.txt")
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        command += ["--constraint", str(constraints), "--report", str(report), *pip_args, *lines]
        subprocess.run(command, check=True)
        found = json.loads(report.read_text())["install"]
    versions = {canonical(item["metadata"]["name"]): item["metadata"]["version"] for item in found}
    return {name: version for name, version in versions.items() if not APART.match(name)}


def canonical(name: str) -> str:
    """The spelling that makes two names of one package equal."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Resolve twice, for CPU and for GPU, and write one file that serves both."""
    pip_args = sys.argv[1:]
    pins = resolve(requirements(TOGETHER), pip_args, {})
    pins |= resolve(requirements(("gpu",)), pip_args, {k: v for k, v in pins.items() if k != "onnxruntime"})
    text = HEADER + "".join(f"{name}=={pins[name]}\n" for name in sorted(pins))
    (ROOT / "constraints.txt").write_text(text)
    print(f"constraints.txt: {len(pins)} versions")


if __name__ == "__main__":
    main()
