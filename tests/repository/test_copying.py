"""A repository that another process writes to while it is looked at."""

import hashlib
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.repository.checks import Checks
from service.repository.folder import ModelFolder, VersionFolder
from service.repository.glimpse import mark_of
from service.repository.watch import Changes, Watch
from tests.repository.copying import CONFIG, VERSIONS, copy, is_whole

SECONDS = 2.5
NOTHING = Changes(folders=[], gone=[])


class Server:
    """What the catalog does with what a watch hands out: it loads what is still as it was seen, or fits its card."""

    def __init__(self, root: Path) -> None:
        self._watch = Watch(root, Checks())
        self.served: dict[int, bytes] = {}
        self.loads = 0

    def look(self) -> Changes:
        """Look, and follow what was found."""
        changes = self._watch.look({"m": set(self.served)})
        for folder in changes.folders:
            self._follow(folder)
        return changes

    def _follow(self, folder: ModelFolder | None) -> None:
        while folder:
            assert "config.pbtxt" not in (folder.problem or "")  # half a config was never read
            failed = {found.version: "changed" for found in folder.versions if not self._load(found)}
            if not failed:
                kept = folder.present | folder.waiting
                if folder.present and not folder.versions:
                    kept |= self.served.keys()
                self.served = {version: content for version, content in self.served.items() if version in kept}
                return
            folder = self._watch.again("m", failed, set(self.served))

    def _load(self, found: VersionFolder) -> bool:
        try:
            content = found.model_path.read_bytes()
        except OSError:
            return False
        assert found.folder
        same = (
            hashlib.sha256(content).hexdigest() == found.sha256 if found.card else mark_of(found.folder) == found.mark
        )
        if same:
            assert is_whole(content)
            self.served[found.version] = content
            self.loads += 1
        return same


@contextmanager
def copying(root: Path) -> Iterator["multiprocessing.sharedctypes.Synchronized[int]"]:
    """Somebody copies for the time of a block; how many pieces of files have been written."""
    context = multiprocessing.get_context("spawn")
    written, stop = context.Value("i", 0), context.Value("i", 0)
    process = context.Process(target=copy, args=(root, written, stop, 7))
    process.start()
    try:
        yield written
    finally:
        stop.value = 1
        process.join(20)
    assert 0 == process.exitcode


def test_nothing_half_copied_is_loaded_and_all_that_is_whole_in_the_end(tmp_path: Path) -> None:
    """Files that grow, vanish and are replaced during looks: only whole ones are ever loaded; when the copying has
    ended, two looks load all that is there, and a third finds nothing new.
    """
    root = tmp_path / "models"
    (root / "m").mkdir(parents=True)
    (root / "m" / "config.pbtxt").write_text(CONFIG)
    server = Server(root)
    with copying(root) as written:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            seen = written.value
            while written.value < seen + 2:  # a copy that stands still looks whole
                assert time.monotonic() < until + 20
                time.sleep(0.001)
            server.look()
    meanwhile = server.loads
    server.look()
    server.look()

    assert meanwhile > 0
    assert {version: (root / "m" / str(version) / "model.onnx").read_bytes() for version in VERSIONS} == server.served
    assert NOTHING == server.look()
