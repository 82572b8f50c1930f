"""How far an answer moves with what else is in its batch: in a model with ranges of a whole batch it does.

Ordinary mates show what to expect, and prove nothing: whether any could move it is what the service finds out.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.session import Tensors

Run = Callable[[Tensors], Tensors]


def influence(run: Run, inputs: Tensors) -> float:
    """The largest change of an answer to one of `inputs` [N, ...] between all of them together and each alone.

    Of floats it is a share of the largest answer in that output; of integers, which are classes or tokens, the share
    of those that differ. Where what is no number comes or goes it is 1.
    """
    together, alone = run(inputs), singly(run)(inputs)
    return max(_change(alone[name], answers) for name, answers in together.items())


def singly(run: Run) -> Run:
    """The same for inputs [N, ...], each of which is computed without the others."""

    def computed(inputs: Tensors) -> Tensors:
        rows = len(next(iter(inputs.values())))
        each = [run({name: array[at : at + 1] for name, array in inputs.items()}) for at in range(rows)]
        return {name: np.concatenate([one[name] for one in each]) for name in each[0]}

    return computed


def _change(expected: NDArray[Any], found: NDArray[Any]) -> float:
    if expected.dtype.kind != "f":
        return float(np.mean(expected != found)) if expected.size else 0.0
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(found)):
        return 1.0
    largest = float(np.abs(expected[finite]).max(initial=0.0))
    return float(np.abs(found - expected)[finite].max(initial=0.0)) / largest if largest else 0.0
