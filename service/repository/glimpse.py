"""What stat says about a model, without reading any file: enough to see that something changed."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from service.artifact.initial_state import INITIAL_STATES
from service.artifact.names import is_version

Mark: TypeAlias = tuple[tuple[str, int, int, int, int], ...]
"""Of each file: its path below the folder, size, time of modification and of change (ns), inode number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Glimpse:
    """A model's folder at one moment: its own files (config, labels, initial states), and each version's. Hidden files
    don't count.

    `calm` is for how many seconds nothing had been written then, by the clock of the file system; negative where that
    one is ahead of ours.
    """

    own: Mark
    versions: Mapping[int, Mark]
    calm: float = field(compare=False)


def glimpse(path: Path) -> Glimpse:
    """The model in the folder `path`. What vanishes meanwhile isn't there; never raises."""
    moment = time.time_ns()  # before the first file is looked at: what is written from now on makes it younger
    own: list[tuple[str, int, int, int, int]] = []
    versions: dict[int, Mark] = {}
    for entry in _entries(path):
        if is_version(entry.name) and _is_folder(entry):
            versions[int(entry.name)] = mark_of(path / entry.name)
        elif entry.name == INITIAL_STATES:
            own.extend(mark_of(path / entry.name))
        elif not _is_folder(entry):
            own.extend(_line(entry.path, entry.name))
    marks = (own, *versions.values())
    newest = max((changed for mark in marks for _, _, _, changed, _ in mark), default=0)
    return Glimpse(own=tuple(sorted(own)), versions=versions, calm=(moment - newest) / 1e9)


def mark_of(folder: Path) -> Mark:
    """All files below a version's folder, however deep; links to folders aren't followed."""
    lines: list[tuple[str, int, int, int, int]] = []
    for parent, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(parent, name)  # noqa: PTH118  (thousands of them at every look)
            lines.extend(_line(path, os.path.relpath(path, folder)))
    return tuple(sorted(lines))


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _line(path: str, name: str) -> Iterator[tuple[str, int, int, int, int]]:
    """The file behind a path, links followed; a link that leads nowhere counts by its name."""
    try:
        found = os.stat(path)  # noqa: PTH116  (see above)
    except FileNotFoundError:
        if os.path.islink(path):  # noqa: PTH114
            yield (name, -1, 0, 0, 0)
    except OSError:
        yield (name, -1, 0, 0, 0)
    else:
        yield (name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
