"""Graphs of transformers that say their shapes once: `python -m loadtests.bench_graphs` writes the table of
training/RESULTS.md.

The networks of recipes, with random weights, each as torch records a call and as it is published: both files take turns
in one process. With `--quick` it is shown in a minute that everything works, and nothing is written.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from loadtests import results
from loadtests.bench_recipe import FOLDER, TITLE
from loadtests.search.beside import BATCHES, beside
from loadtests.search.cases import CASES
from loadtests.search.paces import by_kind
from loadtests.search.searched import File
from loadtests.served import ROOT
from training.runtime import ONNX_RUNTIME

NAME = "graphs"
RECORDED, PUBLISHED = "recorded", "published"
PACKAGES = ("onnxruntime", "numpy", "onnx", "torch")
RECIPES = ("topics", "code-tags", "pages")
COLUMNS = ("network", "work", "nodes", *(f"{size} rows" if size > 1 else "1 row" for size in BATCHES))
TURN_SECONDS = 0.15


def main() -> int:
    """Measure, print and write."""
    options = _options()
    entries = [measure(recipe, options.profile, options.rounds) for recipe in RECIPES]
    told = {**results.circumstances(PACKAGES), "rounds": options.rounds, "networks": entries}
    print(section(told))
    if not options.quick:
        results.write(NAME, section(told), told, folder=FOLDER, title=TITLE)
    return 0


def measure(recipe: str, profile: str, rounds: int) -> dict[str, Any]:
    """What both files of a recipe's network have and take, as data."""
    with tempfile.TemporaryDirectory(prefix="hone-graphs-") as scratch:
        paths = {name: Path(scratch, f"{name}.onnx") for name in (RECORDED, PUBLISHED)}
        export = [sys.executable, "-m", "loadtests.compression.transformers", recipe, profile]
        subprocess.run([*export, *map(str, paths.values())], cwd=ROOT, check=True)
        files = {name: File(path=path, runtime=ONNX_RUNTIME) for name, path in paths.items()}
        turns = beside(files, CASES[recipe].length(profile), rounds=rounds, seconds=TURN_SECONDS)
        return {
            "name": f"{recipe} ({profile})",
            "nodes": {name: _nodes(path) for name, path in paths.items()},
            "turns": {name: by_kind(own) for name, own in turns.items()},
        }


def _nodes(path: Path) -> int:
    """How many there are, constants aside."""
    return sum(node.op_type != "Constant" for node in onnx.load(path).graph.node)


def section(told: Mapping[str, Any]) -> str:
    """The section of RESULTS.md."""
    rows = [row for one in told["networks"] for row in _rows(one)]
    return f"""\
## Graphs of transformers

{results.told(told)} · `python -m loadtests.bench_graphs`

{results.table(COLUMNS, rows)}
How many times as fast a file is in which Reshape and Expand have constant targets (`training/static_shapes.py`), over
the same network as torch records it: the median over {told["rounds"]} rounds of ratios within a round [least, largest],
and what a run took. Both took turns in one process by ONNX Runtime, one thread each. Weights are random. Nodes: those
of the file, constants aside. Step: one token more with half a context behind it; prefill: that half at once; rows:
inputs of the recipe's length."""


def _rows(entry: Mapping[str, Any]) -> Sequence[Sequence[str]]:
    before, after = (entry["turns"][name] for name in (RECORDED, PUBLISHED))
    nodes = f"{entry['nodes'][PUBLISHED]} instead of {entry['nodes'][RECORDED]}"
    return [
        (entry["name"], kind, nodes, *(_told(own[size], after[kind][size]) for size in own))
        for kind, own in before.items()
    ]


def _told(before: Sequence[Mapping[str, float]], after: Sequence[Mapping[str, float]]) -> str:
    whole, own = (np.array([turn["seconds"] for turn in turns]) for turns in (before, after))
    ratios = whole / own
    took = f"{np.median(own) * 1e6:,.0f} instead of {np.median(whole) * 1e6:,.0f} µs"
    return f"{np.median(ratios):.2f} [{ratios.min():.2f}-{ratios.max():.2f}], {took}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_graphs", description=__doc__)
    parser.add_argument("--profile", default="quick", help="the recipes' profile (quick)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of every file at every batch size (9)")
    parser.add_argument("--quick", action="store_true", help="two rounds, tiny recipes, and no table is written")
    options = parser.parse_args()
    if options.quick:
        options.profile, options.rounds = "tiny", 2
    return options


if __name__ == "__main__":
    sys.exit(main())
