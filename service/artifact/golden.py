"""Golden samples, `golden.npz` beside a model: a few inputs, and what the model answered when it was published.

The file holds an array `input.NAME` for each input of the model, and `output.NAME` for one or more of its outputs.
"""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import ArtifactError
from service.quoting import quoted

GOLDEN_NAME = "golden.npz"
INPUT, OUTPUT = "input.", "output."


@dataclass(frozen=True, kw_only=True, slots=True)
class Golden:
    """Tensors by name, as `datatypes` has them: texts are objects of `bytes`, and numbers in this machine's order."""

    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]


def read_golden(path: Path) -> Golden | None:
    """The samples in the file at `path`, None when there is none. Raises ArtifactError for a file that isn't one."""
    place = f"{path.parent.name}/{path.name}"
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, Mapping):
                raise ArtifactError(f"{place}: holds one array without a name, it should be an archive of some (savez)")
            arrays = {name: _array(file, name, place) for name in file}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ArtifactError(f"{place}: isn't a file of golden samples") from error
    for name in arrays:
        if not name.startswith((INPUT, OUTPUT)):
            raise ArtifactError(f"{place}: {quoted(name)} is neither {INPUT}NAME nor {OUTPUT}NAME")
    return Golden(
        inputs={name.removeprefix(INPUT): array for name, array in arrays.items() if name.startswith(INPUT)},
        outputs={name.removeprefix(OUTPUT): array for name, array in arrays.items() if name.startswith(OUTPUT)},
    )


def _array(file: Mapping[str, NDArray[Any]], name: str, place: str) -> NDArray[Any]:
    """The array of this name; `str` as UTF-8. Raises ArtifactError naming it."""
    try:
        array = file[name]
        if not isinstance(array, np.ndarray):  # numpy gives the bytes of any other file in an archive
            raise TypeError("not an array")
        if array.dtype.kind in "SU":
            texts = array.ravel().tolist()
            elements = np.empty(array.size, np.object_)
            elements[:] = [text.encode() if isinstance(text, str) else text for text in texts]
            return elements.reshape(array.shape)
    except (ValueError, TypeError, TokenError, zlib.error, zipfile.BadZipFile, EOFError) as error:  # or a pickle
        raise ArtifactError(
            f"{place}: {quoted(name)} can't be read: it is damaged, or holds Python objects;"
            " texts can be arrays of numpy's str or bytes"
        ) from error
    return array.astype(array.dtype.newbyteorder("="), copy=False)
