"""Pictures in folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.artifact.picturing import picture_tensor
from service.errors import SettingsError
from tests.training.data.parts import assert_apart, assert_array, assert_by_seed, assert_sound, parts
from training.data import folder
from training.data.checks import Severity, check
from training.data.folder import FolderSettings

COUNT = 12


def draw(path: Path, number: int, size: tuple[int, int] = (10, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of a dozen pictures, 10 x 8."""
    for label, name in enumerate(("cat", "dog")):
        for number in range(COUNT):
            draw(tmp_path / name / f"{number}.png", 100 * label + number)
    (tmp_path / "cat" / ".DS_Store").write_bytes(b"not looked at")
    return tmp_path


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """Pictures in parts already, each in two classes."""
    for index, part in enumerate(("train", "validation", "test")):
        for label, name in enumerate(("cat", "dog")):
            for number in range(3):
                draw(tmp_path / part / name / f"{number}.png", 100 * index + 10 * label + number)
    return tmp_path


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_is_a_class(root: Path, channels: int) -> None:
    """Pixels uint8 [N, channels, H, W] as a server makes them, labels int64 by the folders' names, in three parts."""
    settings = FolderSettings(path=str(root), channels=channels)  # type: ignore[arg-type]
    dataset = folder.load(settings, seed=7)
    assert ("cat", "dog") == dataset.classes
    assert 2 * COUNT == sum(map(len, parts(dataset)))
    steps = folder.transforms(settings, height=8, width=10)
    for label, name in enumerate(dataset.classes):
        files = sorted((root / name).glob("*.png"))
        expected = {picture_tensor(path.read_bytes(), steps).tobytes() for path in files}
        found = {one.tobytes() for part in parts(dataset) for one in part.inputs[part.targets == label]}
        assert expected == found
    for part in parts(dataset):
        assert_array(part.inputs, np.uint8, (len(part), channels, 8, 10))
        assert np.int64 == part.targets.dtype
    assert_apart(dataset)


def test_the_seed_decides_the_parts(root: Path) -> None:
    """And nothing else does."""
    assert_by_seed(lambda seed: folder.load(FolderSettings(path=str(root)), seed))


def test_folders_of_parts_are_taken_as_they_are(cut: Path) -> None:
    """What is in `test` is tested on, and nothing else."""
    dataset = folder.load(FolderSettings(path=str(cut)), seed=7)
    assert [6, 6, 6] == [len(part) for part in parts(dataset)]
    assert_apart(dataset)
    assert () == check(dataset)


def test_a_picture_of_two_parts_is_found(cut: Path) -> None:
    """However it is called: it has one source, and the check says where it is."""
    (cut / "test" / "cat" / "other.png").write_bytes((cut / "train" / "cat" / "1.png").read_bytes())
    found = check(folder.load(FolderSettings(path=str(cut)), seed=7))
    assert [Severity.ERROR] == [one.severity for one in found]
    assert "test: 1 inputs are in train too, the first is row 4" in found[0].text


def test_the_same_picture_is_in_one_part(root: Path) -> None:
    """Copies under other names don't come apart."""
    for number in range(20):
        (root / "cat" / f"copy{number}.png").write_bytes((root / "cat" / "0.png").read_bytes())
    dataset = folder.load(FolderSettings(path=str(root)), seed=7)
    assert_apart(dataset)
    assert_sound(dataset)


def test_several_sizes_are_refused_unless_one_is_given(root: Path) -> None:
    """With how many there are of each; a size makes them all that."""
    draw(root / "dog" / "odd.png", 999, size=(20, 30))
    with pytest.raises(SettingsError, match=r"several sizes: 24 of 10 x 8 pixels, 1 of 20 x 30 pixels. Set size"):
        folder.load(FolderSettings(path=str(root)), seed=7)
    assert (3, 16, 16) == folder.load(FolderSettings(path=str(root), size=16), seed=7).train.inputs.shape[1:]


def test_broken_files_are_listed_and_left_out_on_request_only(root: Path) -> None:
    """Each is named; who leaves them out is told so."""
    (root / "cat" / "broken.png").write_bytes((root / "cat" / "0.png").read_bytes()[:40])
    (root / "dog" / "notes.txt").write_text("no picture")
    with pytest.raises(SettingsError, match="of 26 files 2 can't be read") as caught:
        folder.load(FolderSettings(path=str(root)), seed=7)
    assert f"{root}/cat/broken.png" in str(caught.value)
    assert f"{root}/dog/notes.txt" in str(caught.value)
    assert "set skip_broken" in str(caught.value)
    read = folder.read(FolderSettings(path=str(root), skip_broken=True), seed=7)
    assert 2 * COUNT == sum(map(len, parts(read.dataset)))
    assert [Severity.WARNING] == [one.severity for one in read.findings]
    assert "broken.png" in read.findings[0].text


def test_a_long_list_is_cut(root: Path) -> None:
    """Ten are named, and how many there are besides."""
    for number in range(15):
        (root / "dog" / f"bad{number}.png").write_bytes(b"")
    with pytest.raises(SettingsError, match="and 5 more"):
        folder.load(FolderSettings(path=str(root)), seed=7)


def test_a_root_must_have_classes(tmp_path: Path, cut: Path) -> None:
    """What is missing is named: the root, classes, pictures, a part."""
    with pytest.raises(SettingsError, match="nowhere: there is no such folder"):
        folder.load(FolderSettings(path=str(tmp_path / "nowhere")), seed=7)
    (tmp_path / "lone" / "cat").mkdir(parents=True)
    with pytest.raises(SettingsError, match="lone: has 1 folders; each class must have one"):
        folder.load(FolderSettings(path=str(tmp_path / "lone")), seed=7)
    (tmp_path / "lone" / "dog").mkdir()
    with pytest.raises(SettingsError, match="lone: its folders are empty"):
        folder.load(FolderSettings(path=str(tmp_path / "lone")), seed=7)
    draw(cut / "test" / "cow" / "1.png", 1)
    with pytest.raises(SettingsError, match="cow: is a class that isn't trained on; there are cat, dog"):
        folder.load(FolderSettings(path=str(cut)), seed=7)
    (cut / "validation").rename(cut / ".validation")
    (cut / "lone" / "cat").rmdir()
    (cut / "lone" / "dog").rmdir()
    (cut / "lone").rmdir()
    with pytest.raises(SettingsError, match="has parts, but no folder validation"):
        folder.load(FolderSettings(path=str(cut)), seed=7)


def test_a_size_has_bounds() -> None:
    """One that is next to nothing, or huge, is a slip."""
    with pytest.raises(ValueError, match="size: must be between 8 and 1024"):
        FolderSettings(path=".", size=4)
