"""Reading golden samples, as numpy writes them."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.artifact.golden import Golden, read_golden
from service.errors import ArtifactError


def written(folder: Path, arrays: dict[str, Any]) -> Golden:
    """What is read of a file of these arrays."""
    np.savez(folder / "golden.npz", **arrays)
    found = read_golden(folder / "golden.npz")
    assert found
    return found


@pytest.mark.parametrize(
    "texts", [np.array([["a"], ["b\u00e9"]]), np.array([[b"a"], [b"b\xc3\xa9"]]), np.array([["a"], ["b\u00e9"]], ">U7")]
)
def test_texts_become_utf8(tmp_path: Path, texts: Any) -> None:
    """Arrays of `str` and of `bytes` are the same elements of BYTES, for inputs and outputs."""
    found = written(tmp_path, {"input.t": texts, "output.y": texts})

    for array in (found.inputs["t"], found.outputs["y"]):
        assert (np.dtype(object), (2, 1)) == (array.dtype, array.shape)
        assert [b"a", "b\u00e9".encode()] == array.ravel().tolist()


def test_numbers_come_in_the_order_of_this_machine(tmp_path: Path) -> None:
    """What another machine wrote has the same values."""
    found = written(tmp_path, {"input.x": np.arange(3, dtype=">f4"), "output.y": np.arange(3, dtype="<i8")})

    assert [np.dtype(np.float32), np.dtype(np.int64)] == [found.inputs["x"].dtype, found.outputs["y"].dtype]
    assert [0.0, 1.0, 2.0] == found.inputs["x"].tolist()


def test_names_say_what_is_an_input(tmp_path: Path) -> None:
    """An array that is neither input nor output is named."""
    with pytest.raises(ArtifactError, match=r'/golden\.npz: "x" is neither input\.NAME nor output\.NAME'):
        written(tmp_path, {"x": np.ones(1), "output.y": np.ones(1)})


def test_python_objects_are_not_loaded(tmp_path: Path) -> None:
    """Whoever pickled texts is told what to do instead."""
    with pytest.raises(ArtifactError, match=r'"input.t" can\'t be read.*texts can be arrays of numpy\'s str or bytes'):
        written(tmp_path, {"input.t": np.array([b"a"], object)})


def test_what_is_no_file_of_samples_is_named(tmp_path: Path) -> None:
    """A missing file is no problem; a broken one, one of a lone array, and one with other files in it are."""
    path = tmp_path / "golden.npz"
    assert read_golden(path) is None
    path.write_bytes(b"PK no")
    with pytest.raises(ArtifactError, match=r"/golden\.npz: isn't a file of golden samples"):
        read_golden(path)
    with path.open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(ArtifactError, match=r"/golden\.npz: holds one array without a name"):
        read_golden(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("input.x", "text")
    with pytest.raises(ArtifactError, match=r'"input\.x" can\'t be read'):
        read_golden(path)


def test_a_damaged_array_is_named(tmp_path: Path) -> None:
    """Compressed bytes that were changed."""
    path = tmp_path / "golden.npz"
    np.savez_compressed(path, **{"input.x": np.arange(1000.0)})  # type: ignore[arg-type]
    raw = bytearray(path.read_bytes())
    raw[200:260] = bytes(60)
    path.write_bytes(raw)

    with pytest.raises(ArtifactError, match=r'"input\.x" can\'t be read'):
        read_golden(path)
