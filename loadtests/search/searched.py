"""A search as a user starts it, and the files that came of it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtests.search.cases import MODEL, SAMPLES, Case
from loadtests.served import ROOT
from training.commands.outcome import GOAL_MISSED
from training.compression.search.design import FLOAT, TEACHER
from training.compression_report import CompressionReport, Row
from training.runtime import ONNX_RUNTIME, OPENVINO, OPENVINO_BF16, Runtime

RUNTIMES = {str(one): one for one in (ONNX_RUNTIME, OPENVINO, OPENVINO_BF16)}
FORMED = "formed.json"
LIMIT_SECONDS = 4 * 3600


class SearchError(Exception):
    """A search failed, or what it made isn't there; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A model file and what computes it."""

    path: Path
    runtime: Runtime


@dataclass(frozen=True, kw_only=True, slots=True)
class Searched:
    """What a search came to in its `folder`."""

    report: CompressionReport
    folder: Path

    def file(self, variant: str) -> File:
        """That of a variant which was measured on the test part. Raises SearchError if it isn't there."""
        row = next(one for one in self.report.rows if one.variant == variant)
        expected = self.report.tested[variant].size
        for path in _paths(self.folder, row):
            if path.exists() and path.stat().st_size == expected:
                return File(path=path, runtime=RUNTIMES[row.runtime])
        raise SearchError(f"{self.folder}: holds no file of {expected} bytes that was measured as {variant}")


def search(case: Case, folder: Path, *, profile: str = "quick", minutes: float | None = None) -> Searched:
    """Search by the command line, in `folder`; what was done there already is found. Raises SearchError."""
    folder.mkdir(parents=True, exist_ok=True)
    model, words = case.model, ["--profile", profile]
    if case.write is not None:
        case.write(folder)
        model, words = str(folder / MODEL), ["--samples", str(folder / SAMPLES)]
    if case.wanted is not None:
        words += ["--max-drop", str(case.wanted.max_drop), "--at-least", str(case.wanted.faster)]
    if minutes is not None:
        words += ["--minutes", str(minutes)]
    report, _ = compress(model, ["--objective", case.objective, *words], folder)
    return Searched(report=report, folder=folder / "runs" / report.name / report.profile)


def compress(model: str, words: list[str], folder: Path) -> tuple[CompressionReport, float]:
    """What `hone-train compress` says of a model, and how many seconds it took. Raises SearchError."""
    command = [sys.executable, "-m", "training", "compress", model, "--runs", str(folder / "runs"), "--json", *words]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=LIMIT_SECONDS, check=False)
    seconds = time.perf_counter() - started
    if done.returncode not in {0, GOAL_MISSED}:
        raise SearchError(f"hone-train compress {model} ended with {done.returncode}")
    try:
        return msgspec.json.decode(done.stdout, type=CompressionReport), seconds
    except msgspec.DecodeError as error:
        raise SearchError(f"hone-train compress {model} told something else: {error}") from error


def _paths(folder: Path, row: Row) -> Iterator[Path]:
    """Where steps of a search keep a variant's file: one of its numbers, or the first form of a network in float."""
    if row.numbers != FLOAT:
        yield folder / f"{row.network}-{row.numbers}" / MODEL
        return
    for step in (f"export-{row.network}", *(("export", "import") if row.network == TEACHER else ())):
        formed = folder / step / FORMED
        name = f"{next(iter(json.loads(formed.read_text())))}.onnx" if formed.exists() else MODEL
        yield folder / step / name
