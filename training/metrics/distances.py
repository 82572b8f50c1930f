"""How far rows are from each other."""

import numpy as np
import torch
from numpy.typing import NDArray

from training.statistics import Values


def distances(first: NDArray[np.floating], second: NDArray[np.floating]) -> Values:
    """Euclidean ones of rows [A, D] and [B, D]: [A, B]. Equal rows are 0 apart, whatever rounding does elsewhere."""
    rows, others = (torch.from_numpy(one.astype(np.float64)) for one in (first, second))
    found: Values = torch.cdist(rows, others, compute_mode="donot_use_mm_for_euclid_dist").numpy()
    return found
