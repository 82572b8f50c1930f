"""What becomes of the same ONNX file and samples by Hone's search, by Microsoft Olive's, and by optimum-onnx."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from loadtests import compression
from loadtests.compression.race import answer_of, batched, open_file, race
from loadtests.compression.variants import FLOAT, HONE, OLIVE, remark
from loadtests.peers import environment
from loadtests.peers.environment import PeerError
from loadtests.search.cases import ASKED, CASES, MODEL, ROWS, SAMPLES, write_mlp
from loadtests.search.searched import File, Searched, SearchError, compress
from loadtests.served import ROOT
from service.backends.backend import LoadError, RunError
from training.compression_report import CompressionReport
from training.runtime import ONNX_RUNTIME
from training.session import Tensors
from training.specimens.file import FILE, fidelities

OPTIMUM = "optimum-onnx"
BATCHES = (1, 8, 32)
MAX_DROP = 0.01
LIMIT_SECONDS = 3600
SCRIPTS = Path(compression.__file__).parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A model that `write` puts in a folder, by profile: `model.onnx`, `samples.npz` and `asked.npz`."""

    name: str
    title: str
    write: Callable[[Path, str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Turns:
    """How many `rounds`, and for how many `seconds` each may compute in its turn."""

    rounds: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """What a `tool` made of the file, in how many `seconds` with its start, and what it `said`; or why it `failed`.

    Of Hone, what it was `allowed` to lose.
    """

    tool: str
    name: str
    allowed: float | None = None
    file: File | None = None
    seconds: float = 0.0
    said: str = ""
    failed: str = ""


def _export(recipe: str, folder: Path, profile: str) -> None:
    runs = folder / "recipe"
    command = [sys.executable, "-m", "loadtests.search.exported", recipe, profile, str(runs), str(folder)]
    if (code := subprocess.run(command, cwd=ROOT, check=False).returncode) != 0:
        raise SearchError(f"the export of {recipe} ended with {code}")


SUBJECTS = {
    one.name: one
    for one in (
        Subject(name="rivals-digits-cnn", title="digits CNN", write=partial(_export, "digits-cnn")),
        Subject(name="rivals-code-tags", title="encoder, tags of 128 tokens", write=partial(_export, "code-tags")),
        Subject(name="rivals-mlp", title=CASES["mlp"].title, write=lambda folder, _: write_mlp(folder)),
    )
}


def contend(
    subject: Subject, folder: Path, environments: Path, *, profile: str, minutes: float | None, turns: Turns
) -> list[dict[str, Any]]:
    """All contenders and what they are worth, the float file first; `folder` keeps what Hone did.

    Hone searches for what loses at most a hundredth, and for what loses no more than each other tool does. Raises
    SearchError where there is nothing to compare.
    """
    folder.mkdir(parents=True, exist_ok=True)
    subject.write(folder, profile)
    asked = {name: array[:ROWS] for name, array in np.load(folder / ASKED).items()}
    given = Contender(tool=FLOAT, name=FLOAT, file=File(path=folder / MODEL, runtime=ONNX_RUNTIME))
    others = [_made(OLIVE, "olive_workflow.py", folder, environments, "search")]
    others += [_made(OPTIMUM, "optimum_preset.py", folder, environments, mode) for mode in ("static", "dynamic")]
    theirs = [lost for lost in _judged([given, *others], asked)[0].values() if lost > MAX_DROP]
    ours = [_hone(folder, drop, minutes) for drop in sorted({MAX_DROP, *(round(lost, 3) for lost in theirs)})]
    found = [given, *ours, *others]
    lost, failed = _judged(found, asked)
    opened = {one.name: open_file(one.file.path, one.file.runtime, 1) for one in found if one.file and one.name in lost}
    rows = [asked[one.name] for one in opened[FLOAT].signature.inputs]
    calls = batched({name: answer_of(one) for name, one in opened.items()}, rows, BATCHES)
    took = race(calls, rounds=turns.rounds, seconds=turns.seconds)
    return [
        {
            "tool": one.tool,
            "name": one.name,
            "allowed": one.allowed,
            "bytes": None if one.file is None else one.file.path.stat().st_size,
            "made_in": one.seconds,
            "said": one.said,
            "failed": failed.get(one.name, ""),
            "lost": lost.get(one.name),
            "seconds": {str(size): [turn.seconds for turn in own] for size, own in took.get(one.name, {}).items()},
        }
        for one in found
    ]


def _hone(folder: Path, max_drop: float, minutes: float | None) -> Contender:
    words = ["--samples", str(folder / SAMPLES), "--objective", "latency", "--max-drop", str(max_drop)]
    words += [] if minutes is None else ["--minutes", str(minutes)]
    report, seconds = compress(str(folder / MODEL), words, folder)
    found = Searched(report=report, folder=folder / "runs" / report.name / FILE)
    return Contender(
        tool=HONE,
        name=f"{HONE}, {max_drop:.1%} allowed: {report.chosen}",
        allowed=max_drop,
        file=found.file(report.chosen),
        seconds=seconds,
        said="; ".join([report.verdict, *_slow(report)]),
    )


def _slow(report: CompressionReport) -> Iterator[str]:
    """What is told of integers that aren't worth having."""
    for row in report.rows:
        if row.variant in report.evidence.keys() - report.tested.keys():
            yield f"{row.variant}: {report.evidence[row.variant]}"


def _made(tool: str, script: str, folder: Path, environments: Path, mode: str) -> Contender:
    """By a script of ours in the tool's own environment."""
    name, target = f"{tool} {mode}", folder / f"{tool}-{mode}.onnx"
    try:
        python = environment.prepare(script.partition("_")[0], environments)
    except PeerError as error:
        return Contender(tool=tool, name=name, failed=str(error))
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / MODEL
        # Isolated: beside the script are modules of ours that are called as packages of theirs.
        words = [python, "-I", SCRIPTS / script, folder / MODEL, folder / SAMPLES, mode, made]
        started = time.perf_counter()
        done = subprocess.run(
            list(map(str, words)), cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
        seconds, said = time.perf_counter() - started, done.stdout + done.stderr
        if done.returncode != 0:
            return Contender(tool=tool, name=name, failed=said.strip().rpartition("\n")[2])
        shutil.copy(made, target)
    file = File(path=target, runtime=ONNX_RUNTIME)
    return Contender(tool=tool, name=name, file=file, seconds=seconds, said=remark(said))


def _judged(found: Sequence[Contender], asked: Tensors) -> tuple[dict[str, float], dict[str, str]]:
    """What each loses of the fidelity to the first, and why others can't be asked."""
    lost, failed = {}, {one.name: one.failed for one in found if one.file is None}
    expected: Tensors = {}
    for one in found:
        if one.file is None:
            continue
        try:
            backend = open_file(one.file.path, one.file.runtime, 1)
            answers = answer_of(backend)([asked[given.name] for given in backend.signature.inputs])
        except (LoadError, RunError) as error:
            failed[one.name] = str(error)
            continue
        own = {spec.name: array.copy() for spec, array in zip(backend.signature.outputs, answers, strict=True)}
        expected = expected or own
        lost[one.name] = 1 - float(fidelities(own, expected).mean())
    return lost, failed
