"""A model file that stays readable for as long as its generation serves, whatever becomes of its path."""

import fcntl
import os
import shutil
from io import FileIO

from service.errors import ArtifactError

COPIED = 128 << 20
"""Bytes of the largest file that is copied: a worker that has loaded it takes more memory than that again."""

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class HeldFile:
    """Owns a descriptor: of a copy of the file at `path` in memory that nobody can write to, or of a large file itself.

    A version may be removed, or another file take its place, while the generation that was made of it still serves and
    has to start a worker anew. Workers read it by the front's descriptor, which they may since they are the same user.
    A file that is written to where it lies is another one for everybody who has it open: a copy isn't touched by that,
    but the memory of a copy can't be given back as the page cache of a file can, so those over COPIED bytes have none.

    Reads the file, and is meant for a thread. Raises ArtifactError when it can't be opened or read.
    """

    def __init__(self, path: str) -> None:
        try:
            self._file = _held(path)
        except OSError as error:
            raise ArtifactError(f"can't read the model file: {error.strerror}") from error

    @property
    def path(self) -> str:
        """Where another process of this user can read it."""
        return f"/proc/{os.getpid()}/fd/{self._file.fileno()}"

    def close(self) -> None:
        """Let go of it; may be called again. One that nobody refers to any more, as when a load is given up while the
        file is read, lets go by itself.
        """
        self._file.close()


def _held(path: str) -> FileIO:
    """The file to hold: itself, or its copy."""
    file = FileIO(path, opener=_open)
    if os.fstat(file.fileno()).st_size > COPIED:
        return file
    with file:
        copy = FileIO(os.memfd_create("hone-model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "w")
        with open(copy.fileno(), "wb", closefd=False) as target:  # which writes all of it, a FileIO perhaps less
            shutil.copyfileobj(file, target)
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
        return copy


def _open(path: str, flags: int) -> int:
    """Without waiting for whoever would write into a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)
