"""Real handwritten digits as a client has them: images of raw bytes."""

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadtests.served import ROOT


@functools.cache
def images(side: int) -> NDArray[np.uint8]:
    """Digits as uint8 [N, 1, side, side], light on dark: scikit-learn's 1,797 scans enlarged to `side`, a multiple of
    their 8 pixels; where that library is absent, the golden samples of the committed model.

    Raises FileNotFoundError when there is neither.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        return _golden(ROOT / "models" / "digits")
    scans = load_digits().images * (255.0 / 16.0)
    factor = max(1, side // scans.shape[-1])
    enlarged = scans.repeat(factor, axis=1).repeat(factor, axis=2)
    return np.ascontiguousarray(enlarged.round().astype(np.uint8)[:, np.newaxis])


def _golden(model: Path) -> NDArray[np.uint8]:
    newest = max((path for path in model.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    with np.load(newest / "golden.npz", allow_pickle=False) as arrays:
        name = next(name for name in arrays.files if name.startswith("input."))
        found: NDArray[np.uint8] = arrays[name]
        return found
