"""A model file that stays readable for as long as its generation serves, whatever becomes of its path."""

import os

from service.errors import ArtifactError


class HeldFile:
    """Owns a descriptor of the file at `path`. Raises ArtifactError when it can't be opened.

    A version may be removed, or another file take its place, while the generation that was made of it still serves and
    has to start a worker anew. Workers read it by the front's descriptor, which they may since they are the same user.
    """

    def __init__(self, path: str) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
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
