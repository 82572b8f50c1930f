"""Files that are there whole or not at all, even after a crash: a hidden name first, forced to disk, then renamed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".unfinished-"


def copy_file(source: Path, target: Path) -> None:
    """Copy a file; `target` holds either the old content or the new at any time. Raises OSError."""
    if target.exists() and not target.is_file():
        raise OSError(f"{target}: is no regular file")
    put(target, source.read_bytes())


def put(path: Path, content: bytes) -> None:
    """Write a file that holds either the old content or the new at any time. Raises OSError that names it."""
    unfinished = path.with_name(f"{UNFINISHED}{path.name}")
    unfinished.unlink(missing_ok=True)
    try:
        write(unfinished, content)
        appear(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def write(path: Path, content: bytes) -> None:
    """A new file, on disk. Raises OSError that names it."""
    with naming(path), path.open("xb") as file:
        file.write(content)
        file.flush()
        _sync(file.fileno())


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an OSError name `path` if it names no file, as that of a full disk doesn't by itself."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def appear(unfinished: Path, destination: Path) -> None:
    """Give a file or folder its name, in the place of what has it, for good."""
    unfinished.replace(destination)
    sync_folder(destination.parent)


def sync_folder(folder: Path) -> None:
    """Force what a folder lists to disk."""
    with opened(folder) as descriptor:
        _sync(descriptor)


def check_writable(folder: Path) -> None:
    """Raise OSError now, and not after minutes of work, if nothing can be written to `folder`.

    What the system says of rights isn't enough: root may do all in /proc, where nothing can be made.
    """
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"{folder}: isn't a folder that can be written to") from error


def check_creatable(folder: Path) -> None:
    """The same of a folder that there needn't be yet: of the nearest above it that there is."""
    check_writable(next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists()))


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """A descriptor of a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)
