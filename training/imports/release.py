"""What is published of a model from elsewhere: its config, golden samples, and a card that says where it came from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.digest import sha256_file
from service.artifact.names import is_model_name
from service.errors import SettingsError
from training.export import PARITY_TOLERANCE
from training.graph import Tensor
from training.imports import keras_model, onnx_file, saved_model
from training.imports.converted import Converted
from training.imports.proving import Proved, prove
from training.machine import machine
from training.model_config import LABELS, model_config
from training.publish import Golden, Release
from training.session import Arrays

VARIANT = "imported"


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """What is to be made of the `source`, a file or a folder, published as `name`.

    `samples` is an NPZ to compare with, `labels` a file with a class a line, `python` an interpreter with TensorFlow.
    `max_batch` is how many rows are joined at most. `batched` makes a model of batches of one one of any.
    """

    source: Path
    name: str
    samples: Path | None = None
    labels: Path | None = None
    python: Path
    max_batch: int = 32
    batched: bool = False


def load(source: Path, python: Path) -> Converted:
    """The model in `source`, by what it is. Raises SettingsError if it is nothing that can be imported."""
    if (source / "saved_model.pb").is_file():
        return saved_model.load(source, python)
    if source.suffix == ".onnx" and source.is_file():
        return onnx_file.load(source)
    if source.suffix == ".keras" and source.is_file():
        return keras_model.load(source)
    state = "isn't" if source.exists() else "isn't there: it should be"
    raise SettingsError(f"{source}: {state} a .onnx or .keras file, or the folder of a TensorFlow SavedModel")


def release(settings: ImportSettings, path: Path) -> Release:
    """The model, written to `path` and compared with its original, ready to be published.

    Raises SettingsError about the settings and files, and ArtifactError about the model.
    """
    if not is_model_name(settings.name):
        raise SettingsError(f"--name {settings.name!r}: letters, digits, '.', '_' and '-', the first a letter or digit")
    converted = load(settings.source, settings.python)
    proved = prove(converted, path, samples=settings.samples, batched=settings.batched)
    labels = None if settings.labels is None else _labels(settings.labels)
    labelled = () if labels is None else (_labelled(proved.tensors.outputs, labels, str(settings.labels)),)
    return Release(
        name=settings.name,
        model=path,
        config=model_config(
            proved.tensors,
            name=settings.name,
            family=settings.name,
            variant=VARIANT,
            labels=labelled,
            max_batch=settings.max_batch,
            threads=None,
        ),
        beside={} if labels is None else {LABELS: "".join(f"{label}\n" for label in labels).encode()},
        inside={},
        golden=Golden(
            inputs=seen(proved.tensors.inputs, proved.samples, batched=proved.tensors.batched),
            outputs=seen(proved.tensors.outputs, proved.answers, batched=proved.tensors.batched),
        ),
        family=settings.name,
        variant=VARIANT,
        parent=None,
        chosen=None,
        metrics={"parity_difference": proved.parity},
        evidence=_evidence(settings.source, converted, proved),
        transforms={},
        machine=machine(),
    )


def seen(tensors: Sequence[Tensor], arrays: Arrays, *, batched: bool) -> dict[str, NDArray[Any]]:
    """The arrays by name in the shapes that clients see, which `model_config` says."""
    bare = [len(one.dims) == batched for one in tensors]
    return {
        one.name: array[..., np.newaxis] if alone else array
        for one, array, alone in zip(tensors, arrays, bare, strict=True)
    }


def _labels(path: Path) -> Sequence[str]:
    try:
        labels = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: can't be read as text ({error})") from error
    if not labels or not all(labels):
        raise SettingsError(f"{path}: must name a class in each line")
    return labels


def _labelled(outputs: Sequence[Tensor], labels: Sequence[str], where: str) -> str:
    """The first output that has a number for each label."""
    for one in outputs:
        if one.dims and one.dims[-1] == len(labels):
            return one.name
    shapes = ", ".join(f"{one.name} {list(one.dims)}" for one in outputs)
    raise SettingsError(f"{where}: has {len(labels)} lines, and no output ends in as many numbers: {shapes}")


def _evidence(source: Path, converted: Converted, proved: Proved) -> dict[str, Any]:
    """Where the model came from and how it was compared, as plain JSON."""
    model = converted.model
    return {
        "imported": {"from": source.name, "files": dict(_files(source)), "converted_by": dict(converted.made_by)},
        **({"unbatched": proved.unbatched} if proved.unbatched else {}),
        "onnx": {
            "opsets": {one.domain or "ai.onnx": one.version for one in model.opset_import},
            "ir_version": model.ir_version,
            "producer": f"{model.producer_name} {model.producer_version}".strip(),
        },
        "parity": {
            "difference": proved.parity,
            "tolerance": PARITY_TOLERANCE,
            "shapes": [list(shape) for shape in proved.shapes],
            "samples": proved.drawn_from,
        },
    }


def _files(source: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    paths = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    for path in paths:
        name = str(path.relative_to(source)) if source.is_dir() else path.name
        yield name, {"sha256": sha256_file(path), "bytes": path.stat().st_size}
