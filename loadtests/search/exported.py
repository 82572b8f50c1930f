"""A recipe's network as a file, with inputs for it: `python -m loadtests.search.exported RECIPE PROFILE RUNS FOLDER`.

Run as a process of its own, since what trains keeps threads and a gigabyte.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from loadtests.search.cases import ASKED, MODEL, ROWS, SAMPLES
from training import network
from training.data.batches import sample
from training.recipe import load_any
from training.steps.journal import Journal


def write(recipe: str, profile: str, runs: Path, folder: Path) -> None:
    """`model.onnx`, `samples.npz` of the training part, and `asked.npz`, the test part, in `folder`."""
    own: Any = load_any(recipe, profile)
    with Journal(own, runs, Console(stderr=True)) as journal:
        exported = network.export(journal)
    learned, train = exported.learned.load(), exported.material.dataset.train
    shown = train.take(sample(len(train), ROWS, own.seed))
    for name, split in ((SAMPLES, shown), (ASKED, exported.material.dataset.test)):
        inputs: dict[str, Any] = {**own.problem.requests(learned, split, own.seed)}
        np.savez(folder / name, **inputs)
    shutil.copy(exported.formed[0].model, folder / MODEL)


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
