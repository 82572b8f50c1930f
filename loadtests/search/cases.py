"""What is searched for, and what is asked of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtests.workloads import mlp
from training.compression.search.budget import Objective
from training.recipe import load_any

FOLDER = Path(__file__).parent
MODEL, SAMPLES, ASKED = "model.onnx", "samples.npz", "asked.npz"
ROWS = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """So many times as fast and as small as the teacher, with at most `max_drop` of its headline figure lost.

    Times as fast: the files alone, at a `batch` of so many rows; None where each is at the batch that suits it best.
    """

    faster: float
    smaller: float = 1.0
    batch: int | None = None
    max_drop: float = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A search in `model`, the name of a recipe or the path of one, by an `objective`.

    Or in the file `model.onnx` that `write` puts in a folder, beside samples for it. With nothing `wanted`, it is to be
    told that integers gain nothing. By which `profile` the table has it; the bench of the recipe `ladder` has found
    whether the teacher is padded, and `about` says what else is to be known of it.
    """

    name: str
    title: str
    model: str
    objective: Objective = "throughput"
    wanted: Wanted | None = None
    write: Callable[[Path], None] | None = None
    profile: str = "quick"
    ladder: str = ""
    about: str = ""

    def length(self, profile: str) -> int:
        """How long an input is where a file leaves that open: as long as the recipe's are."""
        data = None if self.write else load_any(self.model, profile).data
        return int(getattr(data, "length", 1))


def write_mlp(folder: Path) -> None:
    """A perceptron with random weights, and inputs that it may learn ranges from and be asked."""
    (folder / MODEL).write_bytes(mlp.build())
    for seed, name in enumerate((SAMPLES, ASKED)):
        np.savez(folder / name, x=np.random.default_rng(seed).standard_normal((ROWS, mlp.WIDTHS[0]), np.float32))


CASES = {
    one.name: one
    for one in (
        Case(
            name="digits",
            title="digits CNN",
            model="digits",
            wanted=Wanted(faster=10, smaller=20),
            profile="full",
            ladder="digits",
        ),
        Case(
            name="code-tags",
            title="encoder of 4 layers, tags of 128 tokens",
            model="code-tags",
            wanted=Wanted(faster=6),
            profile="full",
        ),
        Case(
            name="pages",
            title="encoder of 1 layer, classes of 48 tokens",
            model="pages",
            wanted=Wanted(faster=6),
            about="The teacher learnt from 651 texts: from the labels alone a network without layers was "
            "right on 0.752 of the texts left out over five folds, and one like the teacher on 0.738 (means over five "
            "seeds, measured once).",
        ),
        Case(
            name="topics",
            title="decoder of 4 layers, a token of a text",
            model="topics",
            objective="latency",  # the worker's time: a text takes mostly what stands around its steps
            wanted=Wanted(faster=6),
            profile="full",
        ),
        Case(
            name="gru256",
            title="GRU of 256, tags of 128 tokens",
            model=str(FOLDER / "gru256.yaml"),
            wanted=Wanted(faster=2.5, batch=16),
        ),
        Case(
            name="mlp",
            title="MLP 64-256-256-10, random weights",
            model=MODEL,
            objective="latency",
            write=write_mlp,
        ),
        Case(name="digits-mlp", title="MLP 256-256-128-10, digits", model="digits-mlp", objective="latency"),
    )
}
"""By name. What is asked is what was set for them; those at the end are there to be kept in float."""
