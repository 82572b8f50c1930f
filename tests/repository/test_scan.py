"""Scanning a repository: what is found, what is refused, and that one broken model never hides another."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import ArtifactError
from service.repository.checks import Checks
from service.repository.folder import ModelFolder
from service.repository.scan import scan, scan_model
from tests.repository.cards import card_of

AddVersion = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def add(root: Path) -> AddVersion:
    """`add("m", 1)` writes a version; `card=True` writes its card too."""

    def add_version(name: str, version: int | str = 1, *, content: bytes = b"model", card: bool = False) -> Path:
        folder = root / name / str(version)
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(content)
        if card:
            (folder / "card.json").write_bytes(card_of(folder))
        return folder

    return add_version


def only(root: Path, checks: Checks | None = None) -> ModelFolder:
    (model,) = scan(root, checks)
    return model


def test_empty(root: Path) -> None:
    """An empty folder holds no models."""
    assert scan(root) == []


def test_missing(root: Path) -> None:
    """A folder that doesn't exist is an error, not an empty repository."""
    with pytest.raises(ArtifactError, match="nowhere: no such folder"):
        scan(root / "nowhere")


def test_found(root: Path, add: AddVersion) -> None:
    """A model without config or card is found with its newest version; files and hidden folders are passed over."""
    add("b", 1)
    newest = add("b", 10)
    add("a", 1)
    add(".hidden", 1)
    (root / "card.schema.json").write_text("{}")
    a, b = scan(root)

    assert ("a", "b") == (a.name, b.name)
    assert (None, None, ()) == (b.problem, b.config, b.warnings)
    assert [10] == [version.version for version in b.versions]
    assert newest.resolve() / "model.onnx" == b.versions[0].model_path
    assert (None, "", newest) == (b.versions[0].card, b.versions[0].sha256, b.versions[0].folder)


def test_card_is_verified(root: Path, add: AddVersion) -> None:
    """A card that fits its files comes with the version, and with the digest to compare when loading."""
    add("m", 1, card=True)
    version = only(root, Checks(require_card=True)).versions[0]

    assert version.card is not None
    assert version.card.files["model.onnx"].sha256 == version.sha256


@pytest.mark.parametrize(
    "policy,expected",
    [
        ("latest { num_versions: 2 }", [9, 3]),
        ("all {}", [9, 3, 1]),
        ("specific { versions: [ 1, 9, 7 ] }", [9, 1]),
    ],
)
def test_version_policy(root: Path, add: AddVersion, policy: str, expected: list[int]) -> None:
    """The config's policy decides which versions are served, newest first."""
    for version in (1, 3, 9):
        add("m", version)
    (root / "m" / "config.pbtxt").write_text(f"version_policy {{ {policy} }}")

    assert expected == [version.version for version in only(root).versions]


@pytest.mark.parametrize("folder", ["0", "01", "-1", "v1", "1.0", ".1"])
def test_not_a_version(root: Path, add: AddVersion, folder: str) -> None:
    """Only positive numbers without leading zeros are versions."""
    add("m", folder)

    assert only(root).problem == "m: no version folder (a positive number without leading zeros)"


def test_policy_without_match(root: Path, add: AddVersion) -> None:
    """A policy that names absent versions says which were asked for and which are there."""
    add("m", 1)
    (root / "m" / "config.pbtxt").write_text("version_policy { specific { versions: 2 } }")

    assert only(root).problem == "m: version_policy asks for [2], the folder has [1]"


def test_a_version_that_the_policy_names_is_missed(root: Path, add: AddVersion) -> None:
    """The others serve, and a warning says which isn't there."""
    add("m", 1)
    (root / "m" / "config.pbtxt").write_text("version_policy { specific { versions: [ 1, 7 ] } }")

    found = only(root)
    assert [1] == [version.version for version in found.versions]
    assert ("m: version_policy asks for [7] too, which the folder doesn't have",) == found.warnings


def test_broken_models_stay_alone(root: Path, add: AddVersion) -> None:
    """Each broken model is returned with its own problem, and the good one is served."""
    add("good")
    add("bad name")
    (add("missing") / "model.onnx").unlink()
    add("empty", content=b"")
    add("huge", content=b"x" * 100)
    add("config")
    (root / "config" / "config.pbtxt").write_text("max_bath_size: 1")
    add("labels")
    labels = 'output { name: "p" data_type: TYPE_FP32 dims: 1 label_filename: "labels.txt" }'
    (root / "labels" / "config.pbtxt").write_text(labels)
    found = {model.name: model for model in scan(root, Checks(max_model_bytes=50))}

    assert ["good"] == [name for name, model in found.items() if model.problem is None]
    assert all(bool(model.versions) is (model.problem is None) for model in found.values())
    assert "model name 'bad name' may hold" in (found["bad name"].problem or "")
    assert found["missing"].problem == "missing/1/model.onnx: no such file"
    assert found["empty"].problem == "empty/1/model.onnx: is empty"
    assert found["huge"].problem == "huge/1/model.onnx: 100 bytes, the limit is 50"
    assert 'config/config.pbtxt:1: unknown key "max_bath_size"' in (found["config"].problem or "")
    assert "labels/labels.txt: no such file" in (found["labels"].problem or "")


def test_labels_belong_to_the_configuration(root: Path, add: AddVersion) -> None:
    """A line for each class; with others it is another configuration, and what is no text is refused by name."""
    add("m")
    (root / "m" / "config.pbtxt").write_text(
        'backend: "onnxruntime" output { name: "p" data_type: TYPE_FP32 dims: 2 label_filename: "names.txt" }'
    )
    names = root / "m" / "names.txt"
    names.write_text("zero\n\u00e4ins\n", encoding="utf-8")
    before = only(root).config
    assert before
    assert {"p": ("zero", "\u00e4ins")} == before.labels

    names.write_bytes(b"a\xe2\x80\xa8b\r\n\nlast")
    changed = only(root).config
    assert changed
    assert {"p": ("a\u2028b", "", "last")} == changed.labels
    names.write_text("zero\none\n")
    assert before != only(root).config
    names.write_bytes(b"\xff\xfe")
    assert "m/names.txt: can't be read as text" == only(root).problem
    with names.open("wb") as file:
        file.truncate(2**25)
    assert "names.txt: is larger than" in (only(root).problem or "")


def test_corrupt_file(root: Path, add: AddVersion) -> None:
    """A file that differs from its card is refused by name, with both digests."""
    (add("m", card=True) / "model.onnx").write_bytes(b"MODEL")

    assert "m/1/model.onnx: SHA-256 is " in (only(root).problem or "")


def test_bad_version_gives_way(root: Path, add: AddVersion) -> None:
    """A newest version that fails its checks isn't there yet: the one before is served, and the reason is given."""
    add("m", 1, card=True)
    (add("m", 2, card=True) / "model.onnx").unlink()
    model = only(root)

    assert (None, [1]) == (model.problem, [version.version for version in model.versions])
    assert {2: "m/2/model.onnx: no such file"} == model.refused


def test_a_version_that_serves_needs_no_stand_in(root: Path, add: AddVersion) -> None:
    """When a version has an older generation that serves, what it has become being bad brings no other version up."""
    add("m", 1, card=True)
    (add("m", 2, card=True) / "model.onnx").unlink()
    model = scan_model(root, "m", serving={2})

    assert ((), {2: "m/2/model.onnx: no such file"}) == (model.versions, model.refused)
    assert {1, 2} == model.present


def test_card_required(root: Path, add: AddVersion) -> None:
    """With a card required, a version without one is refused."""
    add("m")

    assert only(root, Checks(require_card=True)).problem == "m/1: has no card.json, and a card is required"


def test_card_must_name_the_model(root: Path, add: AddVersion) -> None:
    """A card that doesn't vouch for the model file doesn't vouch for the version."""
    folder = add("m")
    (folder / "other").write_bytes(b"x")
    (folder / "card.json").write_bytes(card_of(folder, ("other",)))

    assert only(root).problem == "m/1/card.json: files doesn't name model.onnx"


def test_broken_card(root: Path, add: AddVersion) -> None:
    """A card that can't be parsed is named with the key at fault."""
    (add("m") / "card.json").write_text('{"schema": 2}')

    assert (only(root).problem or "").startswith("m/1/card.json: ")


@pytest.mark.parametrize("place", ["m", "m/1", "m/1/model.onnx", "m/config.pbtxt", "m/1/card.json"])
def test_links_out_are_refused(root: Path, tmp_path: Path, add: AddVersion, place: str) -> None:
    """No link, at any level, leads a model out of the repository."""
    add("m", 1, card=True)
    (root / "m" / "config.pbtxt").write_text("")
    outside = tmp_path / "outside"
    inside = root / place
    inside.rename(outside)
    inside.symlink_to(outside)

    assert "is a link that leaves the repository" in (only(root).problem or "")


def test_links_inside_are_followed(root: Path, add: AddVersion) -> None:
    """A link that stays in the repository is as good as a folder."""
    add("m", 1)
    (root / "alias").symlink_to("m")

    assert [None, None] == [model.problem for model in scan(root)]


def test_single_file(tmp_path: Path) -> None:
    """A model file by itself is a model: its stem the name, its version 1."""
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"model")
    model = only(path)

    assert ("tiny", None, None) == (model.name, model.config, model.problem)
    assert [(1, path.resolve())] == [(version.version, version.model_path) for version in model.versions]


@pytest.mark.parametrize(
    "name,checks,expected",
    [
        ("a b.onnx", Checks(), "model name 'a b'"),
        ("a.pt", Checks(), "a.pt: a single model must be an .onnx file"),
        ("a.onnx", Checks(max_model_bytes=1), "a.onnx: 5 bytes, the limit is 1"),
        ("a.onnx", Checks(require_card=True), "a.onnx: has no card.json"),
    ],
)
def test_single_file_refused(tmp_path: Path, name: str, checks: Checks, expected: str) -> None:
    """A single file passes the same checks."""
    path = tmp_path / name
    path.write_bytes(b"model")

    assert expected in (only(path, checks).problem or "")


def test_gone_meanwhile(root: Path) -> None:
    """A model that disappears between listing and reading is a problem of its own, not an exception."""
    assert scan_model(root, "gone").problem == 'there is no model "gone" in the repository'


def test_scan_opens_nothing_for_writing(root: Path, add: AddVersion) -> None:
    """Scanning changes nothing: it works on a read-only repository."""
    folder = add("m", 1, card=True)
    for path in (folder, folder.parent, root):
        path.chmod(0o555)
    try:
        assert only(root).problem is None
    finally:
        for path in (root, folder.parent, folder):
            path.chmod(0o755)
