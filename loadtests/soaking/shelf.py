"""The repository of a soak: networks are published in it as a careful user does, and sometimes as a careless one."""

import shutil
from pathlib import Path

from loadtests.soaking.networks import FRAGILE, FRAGILE_CONFIG, Network, fragile

KEPT = 8
"""Versions of a network that stay: a version that is removed while it serves, and nothing newer can, is let go."""


class Shelf:
    """Owns the folder, and the edition of each network that was published last; an edition is never used again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._editions: dict[str, int] = {}
        root.mkdir(parents=True)

    def begin(self, network: Network) -> None:
        """A network's first edition, as version 1."""
        (self.root / network.name).mkdir()
        (self.root / network.name / "config.pbtxt").write_text(network.config())
        self.add_version(network)

    def begin_fragile(self) -> None:
        """The model that some inputs end."""
        version = self.root / FRAGILE / "1"
        version.mkdir(parents=True)
        (version / "model.onnx").write_bytes(fragile())
        (self.root / FRAGILE / "config.pbtxt").write_text(FRAGILE_CONFIG)

    def edition(self, name: str) -> int:
        """The newest edition of a network."""
        return self._editions[name]

    def add_version(self, network: Network) -> int:
        """The next edition as a version of the same number, by one rename; versions of long ago are removed."""
        edition = self._next(network)
        folder = self.root / network.name
        part = self.root.parent / f"{network.name}.part"
        part.mkdir()
        (part / "model.onnx").write_bytes(network.build(edition))
        part.rename(folder / str(edition))
        for old in folder.iterdir():
            if old.name.isdigit() and int(old.name) <= edition - KEPT:
                shutil.rmtree(old)
        return edition

    def add_nonsense(self, network: Network) -> None:
        """A version that can't be served."""
        folder = self.root / network.name / str(self._next(network))
        folder.mkdir()
        (folder / "model.onnx").write_bytes(network.build(0)[:200])

    def replace(self, network: Network) -> int:
        """The next edition in the place of the file of version 1."""
        edition = self._next(network)
        path = self.root / network.name / "1" / "model.onnx"
        part = path.with_suffix(".part")
        part.write_bytes(network.build(edition))
        part.replace(path)
        return edition

    def _next(self, network: Network) -> int:
        edition = self._editions[network.name] = self._editions.get(network.name, 0) + 1
        return edition
