"""What every metric asks of predictions and targets before it says anything of them."""

import numpy as np

from training.data.split import NO_TAG, Array, Sources
from training.errors import Immeasurable
from training.statistics import Counts


def check(sources: Sources, **arrays: Array) -> None:
    """Raises Immeasurable if there is nothing to measure, lengths differ, or a number isn't finite."""
    if not len(sources):
        raise Immeasurable("sources: the test part is empty, so nothing can be said of it")
    for name, array in arrays.items():
        if len(array) != len(sources):
            raise Immeasurable(f"{name}: there are {len(array)}, and the test part has {len(sources)}")
        wrong = np.argwhere(~np.isfinite(array))
        if len(wrong):
            raise Immeasurable(f"{name}: {len(wrong)} values are NaN or infinite, the first at {wrong[0].tolist()}")


def check_shape(predictions: Array, targets: Array) -> None:
    """Raises Immeasurable if predictions don't have the shape of what they are held against."""
    if predictions.shape != targets.shape:
        raise Immeasurable(f"predictions: are {list(predictions.shape)}, and the targets {list(targets.shape)}")


def check_labels(classes: tuple[str, ...], *, gaps: bool = False, **arrays: Counts) -> None:
    """Raises Immeasurable if labels aren't positions of `classes`; with `gaps`, what is NO_TAG passes."""
    for name, array in arrays.items():
        bad = (array < 0) | (array >= len(classes))
        wrong = np.argwhere(bad & (array != NO_TAG) if gaps else bad)
        if len(wrong):
            found = f"{array[tuple(wrong[0])]} at {wrong[0].tolist()}"
            raise Immeasurable(f"{name}: {found} is no class, there are 0 to {len(classes) - 1}")


def check_present(support: Counts, classes: tuple[str, ...], least: int) -> None:
    """Raises Immeasurable if fewer than `least` of the `classes` are there, by how often each is [C]."""
    there = [name for name, count in zip(classes, support.tolist(), strict=True) if count]
    if len(there) < least:
        found = f"only {there[0]!r}" if there else "none"
        raise Immeasurable(
            f"targets: of the classes there is {found} in the test part, and at least {least} are needed"
        )
