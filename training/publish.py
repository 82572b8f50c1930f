"""Puts a model version where servers find it, so that none ever sees half of it.

Everything is written to a hidden folder beside its destination, forced to disk, and renamed: one rename makes a new
model visible, or, after the new `config.pbtxt`, a new version. A hidden name is no model name, so an unfinished
folder is invisible, and the next publication removes it. One publisher works on a repository at a time, by a lock on
its folder.

All versions of a model are served under one config, with the same labels or tokenizer. So a release with others, or
with other tensors, replaces the model's whole folder, by two renames: between them, no server sees that model, and
after a crash there the next publication puts the old one back before anything else.
"""

import fcntl
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.artifact.card import (
    CARD_NAME,
    Card,
    FileRecord,
    Machine,
    Transform,
    dump_card,
    load_card,
    record_content,
    record_files,
)
from service.artifact.config import parse_config, read_config
from service.artifact.names import is_version
from service.errors import ArtifactError
from training.durable import UNFINISHED, appear, opened, put, sync_folder, write
from training.signing_key import SigningKey

MODEL = "model.onnx"
GOLDEN = "golden.npz"
CONFIG = "config.pbtxt"
REPLACED = ".replaced-"


@dataclass(frozen=True, kw_only=True)
class Golden:
    """Inputs of the model by their names, N rows of each, and outputs that this file gave for them."""

    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Release:
    """A model version to be published under `name`: its file, how to serve it (`config`), and what its card says.

    `beside` are files that lie beside the config, by their names: what all versions are served with. `inside` lie in
    the version's folder, where its card names them.
    """

    name: str
    model: Path
    config: str
    beside: Mapping[str, bytes]
    inside: Mapping[str, bytes]
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
    """Where a release is now: a model's name and version; `new` is False when that version was there already.

    `renewed` is True when that version stayed and its card was replaced, because it said something else. `replaced` are
    the versions that went, because they had other tensors, labels or another tokenizer.
    """

    name: str
    version: int
    new: bool
    renewed: bool = False
    replaced: tuple[int, ...] = ()


def publish(repository: Path, release: Release, *, keep: int | None = None, key: SigningKey | None = None) -> Published:
    """Make `release` a new version of its model in `repository`, unless its latest version holds the same files.

    Then that version's card is made to say what the release says. `keep` is how many versions stay, the latest; None
    keeps all. A release with other tensors than its model's config, or other files beside it, is the only version that
    stays. Its card is signed with `key`, or by nobody.

    Raises ArtifactError for a config that the service would refuse, before anything is written. Raises OSError, with
    the repository as it was, or with the whole new version. A crash leaves the same, but for two things: old versions
    may be there under the new config, which fits them, and a model that was being replaced may be away until the next
    publication.
    """
    parse_config(release.config, name=release.name)
    repository.mkdir(parents=True, exist_ok=True)
    folder = repository / release.name
    with _locked(repository):
        _tidy(folder)
        with _undone_on_failure(folder, release):
            if not folder.exists() or not _fits(folder, release):
                return _publish_model(folder, release, key)
            published = _publish_version(folder, release, key)
        _remove_old(folder, keep)
        return published


def versions(folder: Path) -> list[int]:
    """The versions in a model's folder, ascending; none where there is no such folder."""
    return sorted(int(path.name) for path in folder.glob("*") if path.is_dir() and is_version(path.name))


def _fits(folder: Path, release: Release) -> bool:
    """Whether what lies in `folder` can be served under the release's config; yes, where nothing is known of it."""
    try:
        old = read_config(folder / CONFIG, name=release.name)
    except ArtifactError:
        return True
    new = parse_config(release.config, name=release.name)
    tensors = [(one.inputs, one.outputs, one.max_batch_size > 0) for one in (old, new)]
    same = all(_content(folder / name) in {None, content} for name, content in release.beside.items())
    return tensors[0] == tensors[1] and same


def _publish_model(folder: Path, release: Release, key: SigningKey | None) -> Published:
    replaced = tuple(versions(folder))
    version = max(replaced, default=0) + 1
    unfinished = folder.with_name(f"{UNFINISHED}{release.name}")
    _write_version(unfinished / str(version), release, key)
    write(unfinished / CONFIG, release.config.encode())
    for name, content in release.beside.items():
        write(unfinished / name, content)
    sync_folder(unfinished)
    if folder.exists():
        folder.rename(folder.with_name(f"{REPLACED}{release.name}"))
    appear(unfinished, folder)
    _tidy(folder)
    return Published(name=release.name, version=version, new=True, replaced=replaced)


def _publish_version(folder: Path, release: Release, key: SigningKey | None) -> Published:
    latest = max(versions(folder), default=0)
    unfinished = folder / f"{UNFINISHED}{latest + 1}"
    files = _write_version(unfinished, release, key)
    # The config goes first: a server that looks in between sees old versions under the new config, and serves them.
    for name, content in release.beside.items():
        _replace(folder / name, content)
    _replace(folder / CONFIG, release.config.encode())
    if latest and _holds(folder / str(latest), files):
        renewed = _renew(unfinished / CARD_NAME, folder / str(latest) / CARD_NAME)
        shutil.rmtree(unfinished)
        return Published(name=release.name, version=latest, new=False, renewed=renewed)
    appear(unfinished, folder / str(latest + 1))
    return Published(name=release.name, version=latest + 1, new=True)


def _write_version(folder: Path, release: Release, key: SigningKey | None) -> Mapping[str, FileRecord]:
    folder.mkdir(parents=True)
    write(folder / MODEL, release.model.read_bytes())
    arrays: dict[str, NDArray[Any]] = {f"input.{name}": array for name, array in release.golden.inputs.items()}
    arrays |= {f"output.{name}": array for name, array in release.golden.outputs.items()}
    samples = BytesIO()
    np.savez_compressed(samples, allow_pickle=False, **arrays)
    write(folder / GOLDEN, samples.getvalue())
    for name, content in release.inside.items():
        write(folder / name, content)
    card = _card(release, record_files(folder, (MODEL, GOLDEN, *release.inside)))
    if key:
        card = msgspec.structs.replace(card, signature=key.sign(dump_card(card)))
    write(folder / CARD_NAME, dump_card(card))
    sync_folder(folder)
    return card.files


def _card(release: Release, files: dict[str, FileRecord]) -> Card:
    return Card(
        schema=1,
        family=release.family,
        variant=release.variant,
        parent=release.parent,
        chosen=release.chosen,
        files=files,
        beside={name: record_content(content) for name, content in release.beside.items()},
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


def _renew(card: Path, published: Path) -> bool:
    """Put `card` in the place of the published one, unless they are the same; whether that was needed."""
    if published.read_bytes() == card.read_bytes():
        return False
    appear(card, published)
    return True


def _remove_old(folder: Path, keep: int | None) -> None:
    for version in versions(folder)[:-keep] if keep else ():
        # Renamed first, so that a version is whole until it is gone.
        hidden = folder / f"{UNFINISHED}{version}"
        (folder / str(version)).rename(hidden)
        shutil.rmtree(hidden)


@contextmanager
def _undone_on_failure(folder: Path, release: Release) -> Iterator[None]:
    """Should the block fail, leave everything as it was, as far as a full disk allows, or with the new version."""
    before = versions(folder)
    contents = {path: _content(path) for path in (*(folder / name for name in release.beside), folder / CONFIG)}
    try:
        yield
    except OSError:
        with suppress(OSError):
            _tidy(folder)
        for path, content in contents.items() if versions(folder) == before else ():
            with suppress(OSError):
                path.unlink(missing_ok=True) if content is None else _replace(path, content)
        raise


def _tidy(folder: Path) -> None:
    """Remove what is unfinished or was replaced; a model that left its place and got no successor comes back."""
    repository = folder.parent
    _remove_unfinished(repository)
    for hidden in repository.glob(f"{REPLACED}*"):
        name = hidden.name.removeprefix(REPLACED)
        # Not deleted under this name: half of a model must never come back.
        hidden.rename(repository / (f"{UNFINISHED}{name}" if (repository / name).exists() else name))
    _remove_unfinished(repository)
    _remove_unfinished(folder)


def _remove_unfinished(folder: Path) -> None:
    for path in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _replace(path: Path, content: bytes) -> None:
    if path.exists() and path.read_bytes() == content:
        return  # not even a new time stamp: a watching server has nothing to do
    put(path, content)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with opened(folder) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
