"""The recurrent networks of the bench, with random weights by seed: `python -m loadtests.compression.recurrent`.

Run as a process of its own, since the exporter's libraries keep threads and a gigabyte.
"""

import sys
from pathlib import Path

import numpy as np

from training.export import BATCH, LENGTH, Signature, export
from training.networks.recurrent import CELLS, Recurrent, RecurrentConfig
from training.seeding import seeded

INPUT, OUTPUT = "windows", "values"
FEATURES, STEPS, OUTPUTS = 64, 32, 10
SEED = 1


def write(cell: str, width: int, path: Path) -> None:
    """The network with cells of one kind, `windows` float32 [N, T, 64] to `values` [N, 10], as the ONNX file `path`."""
    (kind,) = (one for one in CELLS if one == cell)
    with seeded(SEED):
        network = Recurrent(RecurrentConfig(cell=kind, width=width, features=FEATURES, outputs=OUTPUTS))
    samples = np.random.default_rng(SEED).standard_normal((8, STEPS, FEATURES), np.float32)
    export(network, [samples], path, Signature(inputs={INPUT: LENGTH}, outputs={OUTPUT: BATCH}))


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
