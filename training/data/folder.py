"""Pictures in folders of their own: a folder a class, with its name; above it maybe one for each part.

    root/cat/1.png                root/train/cat/1.png
    root/dog/2.jpg                root/validation/dog/2.jpg
                                  root/test/...

Pictures are read by the very code that reads them for a served model.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from service.artifact.card import Grayscale, Resize, ToTensor, Transform
from service.artifact.picturing import PictureError, picture_tensor
from service.errors import SettingsError
from training.data.checks import Finding, listed, warning
from training.data.material import Material
from training.data.shares import PARTS, Shares
from training.data.split import Dataset, Images


@dataclass(frozen=True, kw_only=True)
class FolderSettings:
    """`path` is the root. Pictures are grey or RGB (`channels`), and made `size` pixels a side; 0 leaves theirs.

    `skip_broken` leaves out what can't be read as a picture. `shares` cut what isn't in parts already.
    """

    path: str
    channels: Literal[1, 3] = 3
    size: int = 0
    skip_broken: bool = False
    shares: Shares = field(default_factory=Shares)

    def __post_init__(self) -> None:
        if self.size and not 8 <= self.size <= 1024:
            raise ValueError("size: must be between 8 and 1024 pixels, or 0 for that of the pictures")


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """A `dataset`, and `findings` that tell of files which were left out."""

    dataset: Dataset
    findings: tuple[Finding, ...]


def load(settings: FolderSettings, seed: int) -> Dataset:
    """Pixels uint8 [N, channels, H, W] and labels int64 [N]; classes are the folders, sorted by name.

    Files whose names begin with a dot aren't looked at. Pictures that are the same are of one source. Raises
    SettingsError for a folder that isn't there or is empty, a class that isn't trained on, files that are no PNG or
    JPEG pictures, and pictures of several sizes.
    """
    return read(settings, seed).dataset


def read(settings: FolderSettings, seed: int) -> Pictures:
    """The dataset, with what was left out of it."""
    roots = _roots(Path(settings.path))
    classes = _classes(roots[0])
    files = [_files(root, classes) for root in roots]
    pictures, findings = _read([path for part in files for path in part], settings)
    known = [[path for path in part if path in pictures] for part in files]
    if not all(known):
        raise SettingsError(f"{settings.path}: a part has no picture that can be read")
    parts = [
        (
            np.stack([pictures[path] for path in part]),
            np.array([classes.index(path.parent.name) for path in part], dtype=np.int64),
        )
        for part in known
    ]
    dataset = settings.shares.assemble(parts, classes=classes, seed=seed)
    return Pictures(dataset=dataset, findings=findings)


def material(settings: FolderSettings, seed: int) -> Material:
    """The pictures for a recipe, with what was left out, and how others become inputs."""
    pictures = read(settings, seed)
    height, width = pictures.dataset.train.inputs.shape[2:]
    steps = transforms(settings, height=height, width=width)
    return Material(dataset=pictures.dataset, findings=pictures.findings, steps=steps)


def transforms(settings: FolderSettings, *, height: int, width: int) -> tuple[Transform, ...]:
    """What turns any picture into the input of a network that was trained on pictures of this size."""
    return _steps(settings, Resize(height=height, width=width, filter="area"))


def _steps(settings: FolderSettings, *resize: Resize) -> tuple[Transform, ...]:
    grey = (Grayscale(),) if settings.channels == 1 else ()
    return (*grey, *resize, ToTensor(layout="CHW", datatype="UINT8"))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _roots(root: Path) -> list[Path]:
    """What holds the classes' folders: `root`, or that of each part. Raises SettingsError."""
    if not root.is_dir():
        raise SettingsError(f"{root}: there is no such folder")
    names = {path.name for path in root.iterdir() if _is_folder(path)}
    if names >= set(PARTS):
        return [root / part for part in PARTS]
    if names and names < set(PARTS):
        missing = ", ".join(part for part in PARTS if part not in names)
        raise SettingsError(f"{root}: has parts, but no folder {missing}; leave the parts away to have it cut")
    return [root]


def _classes(root: Path) -> tuple[str, ...]:
    classes = tuple(sorted(path.name for path in root.iterdir() if _is_folder(path)))
    if len(classes) < 2:
        raise SettingsError(f"{root}: has {len(classes)} folders; each class must have one, with its pictures")
    return classes


def _files(root: Path, classes: Sequence[str]) -> list[Path]:
    """The files of all classes below `root`, sorted. Raises SettingsError."""
    for path in sorted(root.iterdir()):
        if _is_folder(path) and path.name not in classes:
            raise SettingsError(f"{path}: is a class that isn't trained on; there are {', '.join(classes)}")
    found = [
        path
        for name in classes
        if _is_folder(root / name)
        for path in sorted((root / name).iterdir())
        if not path.name.startswith(".")
    ]
    if not found:
        raise SettingsError(f"{root}: its folders are empty")
    return found


def _read(paths: Sequence[Path], settings: FolderSettings) -> tuple[Mapping[Path, Images], tuple[Finding, ...]]:
    """The pictures that can be read, by file, and what is left out. Raises SettingsError that lists files, or sizes."""
    steps = transforms(settings, height=settings.size, width=settings.size) if settings.size else _steps(settings)
    pictures: dict[Path, Images] = {}
    broken = []
    for path in paths:
        try:
            pictures[path] = picture_tensor(path.read_bytes(), steps)
        except PictureError as error:
            broken.append(f"{path} ({error})")
        except OSError as error:
            broken.append(f"{path} ({error.strerror})")
    told = f"{settings.path}: of {len(paths)} files {len(broken)} can't be read: {listed(broken)}"
    if broken and not settings.skip_broken:
        raise SettingsError(f"{told}. Mend or remove them, or set skip_broken")
    sizes = Counter(f"{one.shape[2]} x {one.shape[1]}" for one in pictures.values())
    if len(sizes) > 1:
        found = [f"{count} of {size} pixels" for size, count in sizes.most_common()]
        raise SettingsError(
            f"{settings.path}: pictures have several sizes: {listed(found)}. Set size, or make them one"
        )
    return pictures, (warning(told),) if broken else ()
