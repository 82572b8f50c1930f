"""Somebody who copies models into a repository without regard for who looks, in a process of their own."""

import hashlib
import random
import shutil
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from tests.repository.cards import card_of

VERSIONS = (1, 2, 3)
CONFIG = "version_policy { all { } }"
_PIECES = 8


def is_whole(content: bytes) -> bool:
    """Whether these are all bytes of a file that was copied."""
    return hashlib.sha256(content[:-32]).digest() == content[-32:]


class Copier:
    """Writes pieces of files, and counts them in `written`."""

    def __init__(self, model: Path, written: "Synchronized[int]", seed: int) -> None:
        self._model = model
        self._written = written
        self._random = random.Random(seed)

    def act(self) -> None:
        """One thing that somebody may do to a model."""
        folder = self._model / str(self._random.choice(VERSIONS))
        match self._random.randrange(6):
            case 0:
                shutil.rmtree(folder, ignore_errors=True)
            case 1:
                self._copy(CONFIG.encode() + b"\n#" * self._random.randrange(99), self._model / "config.pbtxt")
            case 2:
                aside = self._model.parents[1] / "aside"  # outside of what is looked at
                self._fill(aside, card=True)
                shutil.rmtree(folder, ignore_errors=True)
                aside.rename(folder)
            case 3 | 4:
                self._fill(folder, card=False)
            case _:
                self._fill(folder, card=True)

    def finish(self) -> None:
        """Leave whole files behind, and nothing else."""
        self._copy(CONFIG.encode(), self._model / "config.pbtxt")
        for version in VERSIONS:
            self._fill(self._model / str(version), card=version % 2 == 0)

    def _fill(self, folder: Path, *, card: bool) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "card.json").unlink(missing_ok=True)
        content = self._random.randbytes(self._random.randrange(1, 100_000))
        self._copy(content + hashlib.sha256(content).digest(), folder / "model.onnx")
        if card:
            self._copy(card_of(folder), folder / "card.json")

    def _copy(self, content: bytes, path: Path) -> None:
        with path.open("wb", buffering=0) as file:
            for piece in range(_PIECES):
                file.write(content[piece * len(content) // _PIECES : (piece + 1) * len(content) // _PIECES])
                with self._written.get_lock():
                    self._written.value += 1


def copy(root: Path, written: "Synchronized[int]", stop: "Synchronized[int]", seed: int) -> None:
    """Copy until `stop` is set, then leave whole files behind."""
    copier = Copier(root / "m", written, seed)
    while not stop.value:
        copier.act()
    copier.finish()
