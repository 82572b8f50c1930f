"""What later workers load is what the first one loaded."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.engine import held_file
from service.engine.held_file import HeldFile
from service.errors import ArtifactError
from tests.descriptors import held_open

BYTES = b"the model" * 10_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(BYTES)
    return path


@pytest.fixture
def held(path: Path) -> Iterator[HeldFile]:
    held = HeldFile(str(path))
    yield held
    held.close()


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"another")
    other.replace(path)


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def overwrite(path: Path) -> None:
    path.write_bytes(b"another")


@pytest.mark.parametrize("change", [Path.unlink, replace, truncate, overwrite])
def test_it_is_what_it_was_whatever_becomes_of_the_file(
    path: Path, held: HeldFile, change: Callable[[Path], None]
) -> None:
    """Removed, replaced, or written to where it lies."""
    change(path)
    assert BYTES == Path(held.path).read_bytes()


def test_nobody_can_write_to_it(held: HeldFile) -> None:
    """Whoever may read it may open it for writing too, as it is the same user's."""
    with pytest.raises(PermissionError), Path(held.path).open("r+b") as file:
        file.write(b"another")
    assert BYTES == Path(held.path).read_bytes()


@pytest.mark.parametrize("change", [Path.unlink, replace])
def test_a_large_file_is_held_without_a_copy(
    path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    """No memory is taken for it; it can be removed and replaced all the same."""
    monkeypatch.setattr(held_file, "COPIED", len(BYTES) - 1)
    held = HeldFile(str(path))
    assert path.samefile(held.path)
    change(path)
    assert BYTES == Path(held.path).read_bytes()
    held.close()


def test_it_is_let_go_of(path: Path) -> None:
    """Nothing stays open, also when that is said twice, or when there is nothing that can be read."""
    before = held_open()
    held = HeldFile(str(path))
    held.close()
    held.close()
    with pytest.raises(ArtifactError, match="can't read the model file: No such file"):
        HeldFile(str(path.with_name("nothing")))
    with pytest.raises(ArtifactError, match="can't read the model file: Is a directory"):
        HeldFile(str(path.parent))

    assert before == held_open()
