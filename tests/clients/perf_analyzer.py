"""Triton's load generator, as the package tritonclient carried it: a program of its own, in C++."""

import csv
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_LIBRARY = re.compile(r"^\s*(\S+) => not found$", re.MULTILINE)
_PACKAGES = {"libb64.so.0d": "libb64-0d"}
_SECONDS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What it printed, and its table's only row: the columns by name, times in microseconds."""

    text: str
    columns: dict[str, float]

    def count(self, what: str) -> int:
        """A count of the printed report, such as "Request count"."""
        found = re.search(rf"{what}: (\d+)", self.text)
        assert found, self.text
        return int(found[1])

    @property
    def server(self) -> dict[str, float]:
        """Where it says that the time went in the server: Queue, Compute Input, Compute Infer, Compute Output."""
        names = ("Queue", "Compute Input", "Compute Infer", "Compute Output")
        return {name: self.columns[f"Server {name}"] for name in names}


class PerfAnalyzer:
    """Owns the program of an environment; what it writes goes to `folder`. Raises RuntimeError if it can't be run."""

    def __init__(self, environment: Path, folder: Path) -> None:
        self._program = environment / "bin" / "perf_analyzer"
        self._table = folder / "table.csv"
        libraries = sorted(environment.glob("lib/python3*/site-packages/nvidia/cuda_runtime/lib"))
        self._environment = os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
        said = self._call(["ldd", str(self._program)]).stdout
        missing = [_PACKAGES.get(library, library) for library in _LIBRARY.findall(said)]
        if missing:
            raise RuntimeError(f"perf_analyzer lacks a library, install it with: apt-get install {' '.join(missing)}")

    def measure(self, model: str, address: str, *options: str) -> Measured:
        """Let it measure one point; it fails the test unless all went well."""
        self._table.unlink(missing_ok=True)
        done = self._call([str(self._program), "-v", "-m", model, "-u", address, "-f", str(self._table), *options])
        assert done.returncode == 0, done.stdout + done.stderr
        (row,) = csv.DictReader(self._table.read_text().splitlines())
        return Measured(text=done.stdout, columns={name: float(value) for name, value in row.items()})

    def _call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
