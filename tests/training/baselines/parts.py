"""Small training parts."""

from typing import Any

import numpy as np

from training.data.split import Split


def part(inputs: Any, targets: Any) -> Split:
    """What is given, each its own source."""
    return Split(inputs=np.asarray(inputs), targets=np.asarray(targets), sources=np.arange(len(targets)))
