"""Arrays in an NPZ file: `inputs` and `targets`, or the same for each part, and maybe the names of the `classes`.

inputs, targets, classes      train_inputs, train_targets, validation_inputs, ..., test_targets, classes
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from service.errors import SettingsError
from training.data.material import Material
from training.data.shares import PARTS, Shares
from training.data.split import Array, Dataset

CLASSES = "classes"
MOST_CLASSES = 10_000
"""Without names; labels beyond are rather numbers of something else."""


@dataclass(frozen=True, kw_only=True)
class ArraysSettings:
    """`path` is the file; `shares` cut what isn't in parts already."""

    path: str
    shares: Shares = field(default_factory=Shares)


def load(settings: ArraysSettings, seed: int) -> Dataset:
    """The arrays as a `Split` has them; numbers become float32, integers int64, uint8 stays pixels.

    Values [N] become [N, 1]. Where targets are integers and the file has no names for them, classes are called by their
    numbers, up to the largest. Inputs that are the same are of one source. Raises SettingsError for a file that isn't
    there or is broken, arrays that are missing, and shapes and datatypes that mean nothing to any network.
    """
    arrays = _read(Path(settings.path))
    prefixes = [f"{part}_" for part in PARTS] if any(name.startswith("train_") for name in arrays) else [""]
    try:
        inputs = [_inputs(arrays, f"{prefix}inputs") for prefix in prefixes]
        targets = [_targets(arrays, f"{prefix}targets") for prefix in prefixes]
        for prefix, one, other in zip(prefixes, inputs, targets, strict=True):
            if len(one) != len(other):
                raise SettingsError(f"{prefix}inputs has {len(one)} rows, {prefix}targets {len(other)}")
        _check_parts("inputs", inputs)
        _check_parts("targets", targets)
        classes = _classes(arrays, targets)
    except SettingsError as error:
        raise SettingsError(f"{settings.path}: {error}") from error
    return settings.shares.assemble(list(zip(inputs, targets, strict=True)), classes=classes, seed=seed)


def material(settings: ArraysSettings, seed: int) -> Material:
    """The arrays for a recipe."""
    return Material(dataset=load(settings, seed))


def _read(path: Path) -> Mapping[str, Array]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise SettingsError(f"{path}: can't be read ({error.strerror or error})") from error
    except Exception as error:  # the library raises anything at all for a file that is broken
        raise SettingsError(f"{path}: isn't an NPZ file of numbers and texts; Python objects aren't read") from error


def _array(arrays: Mapping[str, Array], name: str) -> Array:
    if name not in arrays:
        raise SettingsError(f"has no array `{name}`; there are {', '.join(sorted(arrays)) or 'none'}")
    if not len(np.atleast_1d(arrays[name])):
        raise SettingsError(f"`{name}` is empty")
    return arrays[name]


def _inputs(arrays: Mapping[str, Array], name: str) -> Array:
    array = _array(arrays, name)
    if array.dtype == np.uint8 and array.ndim == 4:
        return array
    if np.issubdtype(array.dtype, np.floating) and array.ndim in (2, 3):
        return _narrowed(array)
    if np.issubdtype(array.dtype, np.integer) and array.dtype != np.uint8 and array.ndim == 2:
        return array.astype(np.int64)
    raise SettingsError(
        f"`{name}` is {array.dtype} {list(array.shape)}; inputs are pixels uint8 [N, C, H, W], features float [N, F],"
        " windows float [N, T, F], or ids int [N, T]"
    )


def _targets(arrays: Mapping[str, Array], name: str) -> Array:
    array = _array(arrays, name)
    if np.issubdtype(array.dtype, np.integer) and array.ndim in (1, 2, 3):
        return array.astype(np.int64)
    if np.issubdtype(array.dtype, np.floating) and (array.ndim in (1, 2) or (array.ndim == 3 and array.shape[2] == 5)):
        numbers = _narrowed(array)
        return numbers[:, None] if array.ndim == 1 else numbers
    raise SettingsError(
        f"`{name}` is {array.dtype} {list(array.shape)}; targets are labels int [N], values float [N] or [N, K], tags"
        " int [N, T], masks int [N, H, W], or boxes float [N, M, 5]"
    )


def _narrowed(array: Array) -> Array:
    with np.errstate(over="ignore"):  # what becomes infinite is found by the checks, with its row
        return array.astype(np.float32)


def _check_parts(what: str, parts: list[Array]) -> None:
    """Raises SettingsError where parts have different things as inputs, or as targets."""
    kinds = {(part.dtype, part.shape[1:]) for part in parts}
    if len(kinds) > 1:
        shapes = ", ".join(f"{part.dtype} {list(part.shape)}" for part in parts)
        raise SettingsError(f"the parts' {what} differ in more than their number: {shapes}")


def _classes(arrays: Mapping[str, Array], targets: list[Array]) -> tuple[str, ...]:
    """The names in the file, else the numbers up to the largest; none for values."""
    if CLASSES in arrays:
        return tuple(map(str, np.atleast_1d(arrays[CLASSES]).tolist()))
    boxes = targets[0].ndim == 3 and targets[0].dtype == np.float32
    if targets[0].dtype == np.float32 and not boxes:
        return ()
    labels = np.concatenate([(part[..., 0] if boxes else part).ravel() for part in targets])
    largest = labels[np.isfinite(labels)].max(initial=0)
    if largest >= MOST_CLASSES:
        raise SettingsError(
            f"targets go up to {int(largest)}; number {MOST_CLASSES} classes at most from 0, or give `classes`"
        )
    return tuple(map(str, range(int(largest) + 1)))
