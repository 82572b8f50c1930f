"""Golden samples, `golden.npz` beside a model: a few inputs, and what the model answered when it was published."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import ArtifactError

GOLDEN_NAME = "golden.npz"
INPUT, OUTPUT = "input.", "output."


@dataclass(frozen=True, kw_only=True, slots=True)
class Golden:
    """Tensors by name, all of them with the same number of rows."""

    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]


def read_golden(path: Path) -> Golden | None:
    """The samples in the file at `path`, None when there is none. Raises ArtifactError for a file that isn't one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ArtifactError(f"{path.parent.name}/{path.name}: isn't a file of golden samples") from error
    return Golden(
        inputs={name.removeprefix(INPUT): array for name, array in arrays.items() if name.startswith(INPUT)},
        outputs={name.removeprefix(OUTPUT): array for name, array in arrays.items() if name.startswith(OUTPUT)},
    )
