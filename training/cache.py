"""Steps that are done once: a step's output is kept as long as its inputs, its code and its settings stay the same.

Every step owns a folder. `step.json` in it holds the key (a digest of all that decides the output) and, once the step
is done, the digests of the files it made, so that a file that was changed or broken later is found out.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from service.artifact.digest import sha256_bytes, sha256_file
from training.data.split import Split
from training.durable import UNFINISHED, put
from training.errors import Damaged
from training.sources import source_digest

STAMP = "step.json"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a run.

    `inputs` is everything that decides the output: settings (dataclasses or plain JSON), splits, and files by their
    path. `code` are the modules whose source decides it too; a package stands for those of its modules that the others
    use (see `source_digest`). `versions` are those of the libraries that do the work.
    """

    name: str
    inputs: Mapping[str, Any]
    code: Sequence[ModuleType]
    versions: Mapping[str, str]

    def key(self) -> str:
        """The digest of all that decides the output, hexadecimal."""
        told = {
            "inputs": {name: _digestible(value) for name, value in self.inputs.items()},
            "code": {module.__name__: source_digest(module, self.code) for module in self.code},
            "versions": dict(self.versions),
        }
        return sha256_bytes(json.dumps(told, sort_keys=True).encode())


class Cache:
    """The step folders of one run, below `folder`, and of each step what it made under the settings before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, step: str, file: str) -> Path:
        """Where `step` keeps `file`."""
        return self.folder(step) / file

    def folder(self, step: str) -> Path:
        """Where `step` keeps its files."""
        return self._folder / step

    def do(self, step: Step, action: Callable[[Path], None], *, permit: Callable[[], None] = lambda: None) -> bool:
        """Have the step's output in its folder; True when it lay there already.

        Otherwise `action(folder)` makes it: in an empty folder, or, when the same step was interrupted, in the folder
        as it was left, so that it can resume. What `permit` raises stops that before anything is changed. Raises
        Damaged if a file of a finished step is missing or changed: it may be somebody's, or have cost hours, so it
        isn't thrown away unasked. Raises OSError that names the step.
        """
        self._recover(step.name)
        folder, key = self._folder / step.name, step.key()
        if not any(_key_of(place) == key and _is_finished(place) for place in self._places(step.name)[:2]):
            permit()
        if _read_stamp(folder).get("key") != key:
            self._change_places(step.name, key)
        stamp = _read_stamp(folder)
        if "files" in stamp:
            _check_whole(folder, stamp["files"])
            return True
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        _write_stamp(folder, {"key": key})
        start = time.perf_counter()
        try:
            action(folder)
            seconds = round(time.perf_counter() - start, 3)
            _write_stamp(folder, {"key": key, "files": _digests(folder), "seconds": seconds})
        except OSError as error:
            if error.errno is None or error.filename is not None:
                raise
            # A full disk names no file by itself.
            raise OSError(error.errno, error.strerror, str(folder)) from error
        return False

    def _change_places(self, step: str, key: str) -> None:
        """Make room for a step with `key`: what lies there is kept beside it until something else takes its place.

        So nobody loses a trained network by trying another setting, and going back to the last one costs nothing. What
        was only begun takes no finished output's place. Each rename may be the last before a kill; see `_recover`.
        """
        folder, before, between = self._places(step)
        if _key_of(before) == key:
            if folder.exists():
                folder.rename(between)
            before.rename(folder)
            if between.exists():
                between.rename(before)
        elif folder.exists():
            if _is_finished(before) and not _is_finished(folder):
                _remove(folder)
            else:
                _remove(before)
                folder.rename(before)

    def _recover(self, step: str) -> None:
        """Undo, or finish, an exchange of two outputs that was interrupted."""
        folder, before, between = self._places(step)
        if between.exists():
            if not folder.exists():
                between.rename(folder)
            elif not before.exists():
                between.rename(before)

    def _places(self, step: str) -> tuple[Path, Path, Path]:
        """Where the output of a step lies, that of the settings before, and the one that is being moved."""
        return self._folder / step, self._folder / f".{step}.before", self._folder / f".{step}.between"

    def seconds(self, step: str) -> float:
        """How long `step` took when it was done, the last time that it was begun; 0 if nobody wrote that down."""
        return float(_read_stamp(self._folder / step).get("seconds", 0.0))

    def discard(self, step: str) -> None:
        """Forget what `step` made, finished or not. Raises OSError if something stays: nothing may resume from it."""
        _remove(self._folder / step)


def _digestible(value: Any) -> Any:
    """What stands for `value` in a key: plain JSON, with digests for files and arrays."""
    if isinstance(value, Path):
        return sha256_file(value)
    if isinstance(value, Split):
        return _digestible((value.inputs, value.targets, value.sources))
    if isinstance(value, list | tuple):
        return [_digestible(one) for one in value]
    if isinstance(value, np.ndarray):
        return [list(value.shape), str(value.dtype), sha256_bytes(value.tobytes())]
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != STAMP)
    return {str(path.relative_to(folder)): sha256_file(path) for path in files}


def _check_whole(folder: Path, files: Mapping[str, str]) -> None:
    found = _digests(folder)
    for name, digest in files.items():
        if found.get(name) != digest:
            state = "isn't what this step wrote" if name in found else "is missing"
            raise Damaged(f"{folder.name}/{name}: {state}")


def _read_stamp(folder: Path) -> dict[str, Any]:
    """What `step.json` says; nothing for a folder that is empty or missing. Raises Damaged if it can't be read."""
    if not folder.exists() or not any(folder.iterdir()):
        return {}
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        if not isinstance(stamp["key"], str) or not isinstance(stamp.get("files", {}), dict):
            raise TypeError("its fields are of other types")
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        if {path.name for path in folder.iterdir()} == {f"{UNFINISHED}{STAMP}"}:
            return {}  # interrupted before anything was made
        raise Damaged(f"{folder.name}/{STAMP}: isn't what a step writes ({error})") from error
    return dict(stamp)


def _key_of(folder: Path) -> str | None:
    """The key of what lies in a folder; None for nothing, and for what can't be told."""
    try:
        return _read_stamp(folder).get("key")
    except Damaged:
        return None


def _is_finished(folder: Path) -> bool:
    try:
        return "files" in _read_stamp(folder)
    except Damaged:
        return False


def _remove(folder: Path) -> None:
    """Delete a step's folder. The stamp goes first: a folder that is half gone must not pass for a finished one."""
    (folder / STAMP).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)


def _sweep(folder: Path) -> None:
    """Remove what a write has left that was cut off, ours or a library's: until it's whole it begins with a dot."""
    for path in folder.rglob(".*"):
        if path.is_file():
            path.unlink()


def _write_stamp(folder: Path, stamp: Mapping[str, Any]) -> None:
    put(folder / STAMP, json.dumps(stamp, indent=1, sort_keys=True).encode())
