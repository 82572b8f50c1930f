"""A model file that stays readable for as long as its generation serves, whatever becomes of its path."""

import fcntl
import os
import shutil

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
            self._descriptor = _held(path)
        except OSError as error:
            raise ArtifactError(f"can't read the model file: {error.strerror}") from error

    @property
    def path(self) -> str:
        """Where another process of this user can read it."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def close(self) -> None:
        """Let go of it; may be called again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _held(path: str) -> int:
    """The descriptor to hold: the file's own, or its copy's."""
    with open(path, "rb", opener=_open) as file:
        if os.fstat(file.fileno()).st_size > COPIED:
            return os.dup(file.fileno())
        copy = os.memfd_create("hone-model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(copy, "wb", closefd=False) as target:
                shutil.copyfileobj(file, target)
            fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(copy)
            raise
        return copy


def _open(path: str, flags: int) -> int:
    """Without waiting for whoever would write into a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)
