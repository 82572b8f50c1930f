"""Puts a model version where servers find it, so that none ever sees half of it.

Everything is written to a hidden folder beside its destination, forced to disk, and renamed: one rename makes a new
model visible, or, after the new `config.pbtxt`, a new version. A hidden name is no model name, so an unfinished
folder is invisible, and the next publication removes it. One publisher works on a repository at a time, by a lock on
its folder.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.card import CARD_NAME, Card, FileRecord, Machine, Transform, dump_card, load_card, record_files
from service.errors import ArtifactError
from training.data.split import Images

MODEL = "model.onnx"
GOLDEN = "golden.npz"
CONFIG = "config.pbtxt"
LABELS = "labels.txt"
UNFINISHED = ".unfinished-"


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Inputs uint8 [8, C, H, W] and the probabilities float32 [8, classes] that this file gave for them."""

    inputs: Mapping[str, Images]
    outputs: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Release:
    """A model version to be published under `name`: its file, how to serve it (`config`), and what its card says."""

    name: str
    model: Path
    config: str
    labels: tuple[str, ...]
    golden: Golden
    family: str
    variant: str
    parent: str | None
    chosen: str | None
    metrics: Mapping[str, float]
    evidence: Mapping[str, Any]
    transforms: Mapping[str, tuple[Transform, ...]]
    machine: Machine


@dataclass(frozen=True, kw_only=True)
class Published:
    """Where a release is now: a model's name and version; `new` is False when that version was there already."""

    name: str
    version: int
    new: bool


def publish(repository: Path, release: Release, *, keep: int | None = None) -> Published:
    """Make `release` a new version of its model in `repository`, unless its latest version holds the same files.

    `keep` is how many versions stay, the latest; None keeps all. Raises OSError; a failure at any moment leaves the
    repository as it was, or with the whole new version.
    """
    repository.mkdir(parents=True, exist_ok=True)
    with _locked(repository):
        _remove_unfinished(repository)
        folder = repository / release.name
        try:
            if not folder.exists():
                _publish_model(repository, release)
                return Published(name=release.name, version=1, new=True)
            _remove_unfinished(folder)
            published = _publish_version(folder, release)
        except OSError:
            _give_up(repository, folder)
            raise
        _remove_old(folder, keep)
        return published


def copy_file(source: Path, target: Path) -> None:
    """Copy a file; `target` holds either the old content or the new at any time. Raises OSError."""
    if target.exists() and not target.is_file():
        raise OSError(f"{target}: is no regular file")
    unfinished = target.with_name(f"{UNFINISHED}{target.name}")
    unfinished.unlink(missing_ok=True)
    try:
        _write(unfinished, source.read_bytes())
        _appear_file(unfinished, target)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def versions(folder: Path) -> list[int]:
    """The versions in a model's folder, ascending."""
    return sorted(int(path.name) for path in folder.iterdir() if path.is_dir() and path.name.isdecimal())


def _publish_model(repository: Path, release: Release) -> None:
    unfinished = repository / f"{UNFINISHED}{release.name}"
    _write_version(unfinished / "1", release)
    _write(unfinished / CONFIG, release.config.encode())
    _write(unfinished / LABELS, _labels(release))
    _appear(unfinished, repository / release.name)


def _publish_version(folder: Path, release: Release) -> Published:
    existing = versions(folder)
    latest = existing[-1] if existing else 0
    unfinished = folder / f"{UNFINISHED}{latest + 1}"
    files = _write_version(unfinished, release)
    # The config goes first: a server that looks in between sees old versions under the new config, and serves them.
    _replace(folder / LABELS, _labels(release))
    _replace(folder / CONFIG, release.config.encode())
    if existing and _holds(folder / str(latest), files):
        shutil.rmtree(unfinished)
        return Published(name=release.name, version=latest, new=False)
    _appear(unfinished, folder / str(latest + 1))
    return Published(name=release.name, version=latest + 1, new=True)


def _write_version(folder: Path, release: Release) -> Mapping[str, FileRecord]:
    folder.mkdir(parents=True)
    _write(folder / MODEL, release.model.read_bytes())
    arrays: dict[str, NDArray[Any]] = {f"input.{name}": array for name, array in release.golden.inputs.items()}
    arrays |= {f"output.{name}": array for name, array in release.golden.outputs.items()}
    samples = BytesIO()
    np.savez_compressed(samples, allow_pickle=False, **arrays)
    _write(folder / GOLDEN, samples.getvalue())
    card = _card(release, record_files(folder, (MODEL, GOLDEN)))
    _write(folder / CARD_NAME, dump_card(card))
    _sync_folder(folder)
    return card.files


def _card(release: Release, files: dict[str, FileRecord]) -> Card:
    return Card(
        schema=1,
        family=release.family,
        variant=release.variant,
        parent=release.parent,
        chosen=release.chosen,
        files=files,
        metrics=dict(release.metrics),
        evidence=dict(release.evidence),
        transforms=dict(release.transforms),
        machine=release.machine,
    )


def _holds(folder: Path, files: Mapping[str, FileRecord]) -> bool:
    try:
        return load_card(folder / CARD_NAME).files == files
    except ArtifactError:
        return False


def _labels(release: Release) -> bytes:
    return "".join(f"{label}\n" for label in release.labels).encode()


def _appear(unfinished: Path, destination: Path) -> None:
    _sync_folder(unfinished)
    unfinished.rename(destination)
    _sync_folder(destination.parent)


def _remove_old(folder: Path, keep: int | None) -> None:
    for version in versions(folder)[:-keep] if keep else ():
        # Renamed first, so that a version is whole until it is gone.
        hidden = folder / f"{UNFINISHED}{version}"
        (folder / str(version)).rename(hidden)
        shutil.rmtree(hidden)


def _remove_unfinished(folder: Path) -> None:
    for path in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _give_up(*folders: Path) -> None:
    """Give back the space of what couldn't be finished, as far as that can be done: the disk may be full."""
    for folder in folders:
        with suppress(OSError):
            _remove_unfinished(folder)


def _replace(path: Path, content: bytes) -> None:
    if path.exists() and path.read_bytes() == content:
        return  # not even a new time stamp: a watching server has nothing to do
    unfinished = path.with_name(f"{UNFINISHED}{path.name}")
    _write(unfinished, content)
    _appear_file(unfinished, path)


def _appear_file(unfinished: Path, destination: Path) -> None:
    unfinished.replace(destination)
    _sync_folder(destination.parent)


def _write(path: Path, content: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            _sync(file.fileno())
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # a full disk names no file by itself


def _sync_folder(folder: Path) -> None:
    with _opened(folder) as descriptor:
        _sync(descriptor)


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with _opened(folder) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
