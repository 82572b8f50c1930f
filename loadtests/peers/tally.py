"""How many batches and rows a peer has computed, in a file that both sides map. Runs in the peers' environments."""

import mmap
import struct
from pathlib import Path

_NUMBERS = struct.Struct("=QQ")


class Tally:
    """Owns the mapping of the file at `path`; one process adds, others may read."""

    def __init__(self, path: str) -> None:
        with Path(path).open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _NUMBERS.size)

    @classmethod
    def create(cls, path: str) -> "Tally":
        """A tally of nothing, in a file that is made now."""
        Path(path).write_bytes(bytes(_NUMBERS.size))
        return cls(path)

    def add(self, rows: int) -> None:
        """One more batch of so many rows."""
        batches, before = self.read()
        _NUMBERS.pack_into(self._memory, 0, batches + 1, before + rows)

    def read(self) -> tuple[int, int]:
        """Batches and rows so far."""
        batches, rows = _NUMBERS.unpack_from(self._memory)
        return batches, rows
