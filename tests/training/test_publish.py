"""Publication: the layout that servers read, and that no failure ever shows half a version."""

import errno
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.artifact.card import CARD_NAME, ToTensor, load_card, verify_files
from service.artifact.config import read_config
from service.artifact.digest import sha256_file
from service.errors import ArtifactError
from tests.signing_keys import RequireTool, make_keys
from training import durable
from training.graph import Tensor, Tensors
from training.machine import machine
from training.model_config import model_config
from training.publish import Golden, Published, Release, publish, versions
from training.signing_key import read_signing_key


class Crash(BaseException):
    """The process ends at this moment."""


def config_of(size: int) -> str:
    """The config of a classifier of square images."""
    image = Tensor(name="image", datatype="UINT8", dtype=np.dtype(np.uint8), dims=(-1, 1, size, size))
    answer = Tensor(name="probabilities", datatype="FP32", dtype=np.dtype(np.float32), dims=(-1, 10))
    tensors = Tensors(inputs=(image,), outputs=(answer,), batched=True)
    return model_config(tensors, name="digits", family="digits", variant="int8", labels=("probabilities",))


@pytest.fixture
def release(tmp_path: Path) -> Release:
    (tmp_path / "model.onnx").write_bytes(b"first")
    images = np.arange(8 * 256, dtype=np.int64).reshape(8, 1, 16, 16).astype(np.uint8)
    answers = np.eye(10, dtype=np.float32)[:8]
    return Release(
        name="digits",
        model=tmp_path / "model.onnx",
        config=config_of(16),
        beside={"labels.txt": b"".join(b"%d\n" % number for number in range(10))},
        inside={},
        golden=Golden(inputs={"image": images}, outputs={"probabilities": answers}),
        family="digits",
        variant="int8",
        parent="digits-teacher",
        chosen="digits-int8",
        metrics={"accuracy": 0.99},
        evidence={"images": {"test": 450}},
        transforms={"image": (ToTensor(layout="CHW", datatype="UINT8"),)},
        machine=machine(),
    )


def test_what_no_server_could_parse_is_not_published(release: Release, tmp_path: Path) -> None:
    """It is said before anything is written."""
    wrong = replace(release, config=release.config.replace("max_batch_size: 32", "max_batch_size: -1"))
    with pytest.raises(ArtifactError, match="max_batch_size is -1, expected 0 or above"):
        publish(tmp_path / "models", wrong)
    assert not (tmp_path / "models").exists()


@pytest.fixture
def retrained(release: Release, tmp_path: Path) -> Release:
    """The same model with other weights and another config."""
    (tmp_path / "second.onnx").write_bytes(b"second")
    config = release.config.replace("max_batch_size: 32", "max_batch_size: 16")
    return replace(release, model=tmp_path / "second.onnx", config=config)


@pytest.fixture
def enlarged(retrained: Release) -> Release:
    """Retrained for larger images, so that no old version can be served under its config."""
    images = np.zeros((8, 1, 24, 24), dtype=np.uint8)
    golden = Golden(inputs={"image": images}, outputs=retrained.golden.outputs)
    return replace(retrained, config=config_of(24), golden=golden)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.exists() else []


def check_whole(repository: Path) -> None:
    """Everything that a server can see is complete and as its card says."""
    for name in visible(repository):
        folder = repository / name
        config = read_config(folder / "config.pbtxt", name=name)
        assert (folder / "labels.txt").read_text().split() == list("0123456789")
        assert versions(folder)
        for version in versions(folder):
            verify_files(load_card(folder / str(version) / CARD_NAME), folder / str(version))
            with np.load(folder / str(version) / "golden.npz") as golden:
                assert golden["input.image"].shape[1:] == tuple(config.inputs[0].dims)


def contents(repository: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}


def fail_at(monkeypatch: pytest.MonkeyPatch, moment: int, failure: BaseException) -> None:
    """Let the `moment`-th rename in this process fail, once."""
    calls = count(1)

    def failing(original: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def rename(self: Path, target: Path) -> Path:
            if next(calls) == moment:
                raise failure
            return original(self, target)

        return rename

    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, failing(getattr(Path, name)))


def crash_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> Callable[[], int]:
    """End the process at the `moment`-th call that touches the disk for good; how many calls there were."""
    calls = 0
    original = durable._sync

    def sync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == moment:
            raise Crash
        original(descriptor)

    monkeypatch.setattr(durable, "_sync", sync)
    return lambda: calls


def test_the_layout_is_that_of_the_design(release: Release, tmp_path: Path) -> None:
    """A model is a folder with config and labels, a version in it one with model, card and golden samples."""
    assert publish(tmp_path / "models", release) == Published(name="digits", version=1, new=True)
    files = {str(path.relative_to(tmp_path / "models")) for path in (tmp_path / "models").rglob("*") if path.is_file()}
    assert files == {
        "digits/config.pbtxt",
        "digits/labels.txt",
        "digits/1/model.onnx",
        "digits/1/card.json",
        "digits/1/golden.npz",
    }
    check_whole(tmp_path / "models")


def test_the_config_is_read_by_the_service_as_meant(release: Release, tmp_path: Path) -> None:
    """The service finds batching, tensors, labels, family and variant in it, and nothing to warn about."""
    publish(tmp_path / "models", release)
    config = read_config(tmp_path / "models" / "digits" / "config.pbtxt", name="digits")
    assert (config.backend, config.max_batch_size, config.default_model_filename) == ("onnxruntime", 32, "model.onnx")
    assert config.dynamic_batching is not None
    assert [(one.name, one.datatype, tuple(one.dims)) for one in (*config.inputs, *config.outputs)] == [
        ("image", "UINT8", (1, 16, 16)),
        ("probabilities", "FP32", (10,)),
    ]
    assert config.label_filenames == {"probabilities": "labels.txt"}
    assert (config.hone.family, config.hone.variant) == ("digits", "int8")
    assert config.warnings == ()


def test_the_card_says_what_was_released(release: Release, tmp_path: Path) -> None:
    """The card names the variant, its parent, the chosen one, and exactly the files of the version."""
    publish(tmp_path / "models", release)
    card = load_card(tmp_path / "models" / "digits" / "1" / CARD_NAME)
    assert (card.variant, card.parent, card.chosen) == ("int8", "digits-teacher", "digits-int8")
    assert set(card.files) == {"model.onnx", "golden.npz"}
    assert card.metrics == {"accuracy": 0.99}


def test_golden_samples_load_without_pickle(release: Release, tmp_path: Path) -> None:
    """The samples are plain arrays, named by direction and tensor, as they were given."""
    publish(tmp_path / "models", release)
    with np.load(tmp_path / "models" / "digits" / "1" / "golden.npz", allow_pickle=False) as golden:
        assert set(golden) == {"input.image", "output.probabilities"}
        assert np.array_equal(golden["input.image"], release.golden.inputs["image"])
        assert np.array_equal(golden["output.probabilities"], release.golden.outputs["probabilities"])


def test_the_same_files_are_no_new_version(release: Release, tmp_path: Path) -> None:
    """Publishing again what is there already changes nothing, not even a time stamp."""
    publish(tmp_path / "models", release)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "models" / "digits").rglob("*") if path.is_file()}
    again = publish(tmp_path / "models", release)
    assert again == Published(name="digits", version=1, new=False)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert visible(tmp_path / "models" / "digits") == ["1", "config.pbtxt", "labels.txt"]


@pytest.mark.parametrize(
    "change",
    [{"metrics": {"accuracy": 0.5}}, {"evidence": {"verdict": "chosen"}}, {"chosen": None}, {"parent": None}],
)
def test_what_a_card_says_is_renewed_with_the_same_files(
    release: Release, tmp_path: Path, change: dict[str, Any]
) -> None:
    """Another verdict about the same files is no new version, but the card says it, and all else stays untouched."""
    publish(tmp_path / "models", release)
    folder = tmp_path / "models" / "digits"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    again = publish(tmp_path / "models", replace(release, **change))
    assert Published(name="digits", version=1, new=False, renewed=True) == again
    card = load_card(folder / "1" / CARD_NAME)
    assert change == {key: getattr(card, key) for key in change}
    assert {folder / "1" / CARD_NAME} == {path for path in before if path.stat().st_mtime_ns != before[path]}
    assert set(before) == {path for path in folder.rglob("*") if path.is_file()}
    check_whole(tmp_path / "models")


def test_a_retrained_model_is_the_next_version(release: Release, retrained: Release, tmp_path: Path) -> None:
    """Other files make a new version beside the old, under the new config."""
    publish(tmp_path / "models", release)
    assert publish(tmp_path / "models", retrained) == Published(name="digits", version=2, new=True)
    folder = tmp_path / "models" / "digits"
    assert (folder / "1" / "model.onnx").read_bytes() == b"first"
    assert (folder / "2" / "model.onnx").read_bytes() == b"second"
    assert read_config(folder / "config.pbtxt", name="digits").max_batch_size == 16
    check_whole(tmp_path / "models")


def test_versions_are_counted_as_numbers(release: Release, retrained: Release, tmp_path: Path) -> None:
    """Version 10 comes after 9, and folders that are no versions don't count."""
    publish(tmp_path / "models", release)
    (tmp_path / "models" / "digits" / "1").rename(tmp_path / "models" / "digits" / "9")
    (tmp_path / "models" / "digits" / "notes").mkdir()
    assert publish(tmp_path / "models", retrained).version == 10
    assert versions(tmp_path / "models" / "digits") == [9, 10]


def test_only_the_kept_versions_stay(release: Release, retrained: Release, tmp_path: Path) -> None:
    """With `keep` the oldest versions go, and only after the new one is there."""
    publish(tmp_path / "models", release)
    publish(tmp_path / "models", retrained, keep=1)
    assert versions(tmp_path / "models" / "digits") == [2]
    assert visible(tmp_path / "models" / "digits") == ["2", "config.pbtxt", "labels.txt"]


def test_a_version_that_differs_from_its_card_is_published_anew(release: Release, tmp_path: Path) -> None:
    """A latest version whose card can't be read isn't taken for the same."""
    publish(tmp_path / "models", release)
    (tmp_path / "models" / "digits" / "1" / CARD_NAME).write_text("{")
    assert publish(tmp_path / "models", release) == Published(name="digits", version=2, new=True)


@pytest.mark.parametrize("moment", range(1, 9))
def test_a_crash_never_shows_half_a_model(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Wherever a first publication ends, a server sees the whole model or nothing; the next one succeeds."""
    with monkeypatch.context() as patch:
        crash_at(patch, moment)
        with pytest.raises(Crash):
            publish(tmp_path / "models", release)
    check_whole(tmp_path / "models")
    publish(tmp_path / "models", release)
    assert visible(tmp_path / "models") == ["digits"]
    assert not list((tmp_path / "models").rglob(".*"))
    check_whole(tmp_path / "models")


@pytest.mark.parametrize("moment", range(1, 8))
def test_a_crash_never_shows_half_a_version(
    release: Release, retrained: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Wherever a later publication ends, the old version is whole and the new one is whole or absent."""
    publish(tmp_path / "models", release)
    with monkeypatch.context() as patch:
        crash_at(patch, moment)
        with pytest.raises(Crash):
            publish(tmp_path / "models", retrained)
    check_whole(tmp_path / "models")
    assert (tmp_path / "models" / "digits" / "1" / "model.onnx").read_bytes() == b"first"
    publish(tmp_path / "models", retrained)
    assert versions(tmp_path / "models" / "digits") == [1, 2]
    assert not list((tmp_path / "models").rglob(".*"))


def test_the_crashes_cover_every_moment(
    release: Release, retrained: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two tests above end the process at each of the moments there are."""
    calls = crash_at(monkeypatch, 0)
    publish(tmp_path / "models", release)
    assert calls() == 8
    publish(tmp_path / "models", retrained)
    assert calls() == 8 + 7


def test_a_model_with_other_tensors_replaces_the_old_one(release: Release, enlarged: Release, tmp_path: Path) -> None:
    """Only versions that fit the config stay, and versions keep counting up."""
    publish(tmp_path / "models", release)
    replaced = Published(name="digits", version=2, new=True, replaced=(1,))
    assert replaced == publish(tmp_path / "models", enlarged)
    assert [2] == versions(tmp_path / "models" / "digits")
    assert ["digits"] == [path.name for path in (tmp_path / "models").iterdir()]
    check_whole(tmp_path / "models")
    assert Published(name="digits", version=2, new=False) == publish(tmp_path / "models", enlarged)


def test_a_model_with_other_labels_replaces_the_old_one(release: Release, tmp_path: Path) -> None:
    """No version is ever served under labels that it wasn't trained with."""
    publish(tmp_path / "models", release)
    renamed = replace(release, beside={"labels.txt": b"".join(b"%c\n" % letter for letter in b"abcdefghij")})
    replaced = Published(name="digits", version=2, new=True, replaced=(1,))
    assert replaced == publish(tmp_path / "models", renamed)
    assert [2] == versions(tmp_path / "models" / "digits")


@pytest.mark.parametrize("moment", [1, 2])
@pytest.mark.parametrize("other", ["retrained", "enlarged"])
def test_a_failure_leaves_everything_as_it_was(
    release: Release,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    other: str,
    moment: int,
) -> None:
    """Where a rename finds no space, config and version stay as they were, byte for byte, and nothing is left over."""
    publish(tmp_path / "models", release)
    before = contents(tmp_path / "models")
    with monkeypatch.context() as patch:
        fail_at(patch, moment, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(OSError, match="No space left"):
            publish(tmp_path / "models", request.getfixturevalue(other))
    assert before == contents(tmp_path / "models")
    assert [] == list((tmp_path / "models").rglob(".*"))


@pytest.mark.parametrize("moment", range(1, 5))
def test_a_crash_while_a_model_is_replaced_is_healed(
    release: Release, enlarged: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """A server sees the old model, none or the new; the next publication, of any model, brings back what was away."""
    publish(tmp_path / "models", release)
    with monkeypatch.context() as patch:
        fail_at(patch, moment, Crash())
        with pytest.raises(Crash) if moment < 4 else nullcontext():
            publish(tmp_path / "models", enlarged)
    assert visible(tmp_path / "models") == ([] if moment == 2 else ["digits"])
    check_whole(tmp_path / "models")
    publish(
        tmp_path / "models", replace(release, name="other", config=release.config.replace('"digits"', '"other"', 1))
    )
    assert ["digits", "other"] == visible(tmp_path / "models")
    assert [1 if moment < 3 else 2] == versions(tmp_path / "models" / "digits")
    assert [] == list((tmp_path / "models").rglob(".*"))
    check_whole(tmp_path / "models")
    assert 2 == publish(tmp_path / "models", enlarged).version


def test_a_folder_without_config_keeps_what_it_has(release: Release, tmp_path: Path) -> None:
    """Nothing is known against a version that somebody put there by hand, so it stays; a failure changes nothing."""
    version = tmp_path / "models" / "digits" / "1"
    version.mkdir(parents=True)
    (version / "model.onnx").write_bytes(b"by hand")
    assert 2 == publish(tmp_path / "models", release).version
    assert b"by hand" == (version / "model.onnx").read_bytes()


def test_a_card_is_signed_with_what_lies_beside_it(release: Release, tmp_path: Path, require_tool: RequireTool) -> None:
    """Labels are in it as the files of the version are."""
    keys = make_keys(require_tool("openssl"), tmp_path)
    publish(tmp_path / "models", release, key=read_signing_key(keys.private))
    folder = tmp_path / "models" / "digits"
    card = load_card(folder / "1" / CARD_NAME)
    assert keys.name == card.signer
    assert {"labels.txt": sha256_file(folder / "labels.txt")} == {name: one.sha256 for name, one in card.beside.items()}


def test_another_signature_is_another_card(
    release: Release, retrained: Release, tmp_path: Path, require_tool: RequireTool
) -> None:
    """The same release signed by the same key is unchanged; by another key, or by nobody, its card alone is renewed."""
    both = [make_keys(require_tool("openssl"), tmp_path, name) for name in ("old", "new")]
    first, second = (read_signing_key(keys.private) for keys in both)
    publish(tmp_path / "models", release, key=first)
    for key, name, renewed in ((first, both[0].name, False), (second, both[1].name, True), (None, None, True)):
        published = publish(tmp_path / "models", release, key=key)
        assert (1, False, renewed) == (published.version, published.new, published.renewed)
        assert name == load_card(tmp_path / "models" / "digits" / "1" / CARD_NAME).signer
    assert 2 == publish(tmp_path / "models", retrained, key=first).version
