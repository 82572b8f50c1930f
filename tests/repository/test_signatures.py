"""With `--require-signature`: which versions are taken, and what is said of the others."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from service.artifact.card import Card, dump_card, load_card, record_files
from service.artifact.config import parse_json_config
from service.repository.checks import Checks
from service.repository.override import SentFolder
from service.repository.scan import scan, scan_model
from tests.repository.cards import card_of
from tests.signing_keys import KeyPair, RequireTool, make_keys

AddSigned = Callable[..., Path]
LABELS = 'output [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] label_filename: "labels.txt" } ]'
STATE = """sequence_batching { state [ { input_name: "a" output_name: "b" data_type: TYPE_FP32 dims: [ 1 ]
initial_state { name: "s" data_type: TYPE_FP32 dims: [ 1 ] data_file: "zero" } } ] }"""
WRITER = f"""max_batch_size: 4 {STATE.replace('data_file: "zero"', "zero_data: true")}
parameters {{ key: "hone.generate" value {{ string_value: "token=ids logits=y eos=0 context=9" }} }}"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, require_tool: RequireTool) -> KeyPair:
    return make_keys(require_tool("openssl"), tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory, require_tool: RequireTool) -> KeyPair:
    return make_keys(require_tool("openssl"), tmp_path_factory.mktemp("keys"), "others")


@pytest.fixture
def checks(keys: KeyPair) -> Checks:
    return Checks(keys={keys.name: "release.pem"})


@pytest.fixture
def add(tmp_path: Path, keys: KeyPair) -> AddSigned:
    """A version with a signed card, which vouches for files `beside` the config too."""

    def make(name: str = "f", version: int = 1, *, by: KeyPair | None = keys, beside: tuple[str, ...] = ()) -> Path:
        folder = tmp_path / name / str(version)
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(b"model %d" % version)
        (folder / "card.json").write_bytes(card_of(folder))
        change(folder / "card.json", beside=record_files(folder.parent, beside))
        if by:
            by.sign(folder / "card.json")
        return folder

    return make


def change(path: Path, **fields: object) -> None:
    """Have a card say something else, without the key."""
    card: Card = msgspec.structs.replace(load_card(path), **fields)
    path.write_bytes(dump_card(card))


def problem_of(root: Path, checks: Checks, name: str = "f") -> str | None:
    return scan_model(root, name, checks.check).problem


@pytest.mark.parametrize("name", ["f", "f-v"])
def test_a_signed_version_is_taken(tmp_path: Path, add: AddSigned, checks: Checks, name: str) -> None:
    """Under the family's name, or the variant's; its card says who signed it."""
    add(name)
    (version,) = scan_model(tmp_path, name, checks.check).versions
    assert version.card
    assert checks.keys
    assert version.card.signer in checks.keys


def test_others_are_named_with_what_is_wrong(
    tmp_path: Path, add: AddSigned, checks: Checks, keys: KeyPair, others: KeyPair
) -> None:
    """No card, no signature, another key, another model; the last sound version serves in their place."""
    add(version=1)
    add(version=2, by=None)
    add(version=3, by=others)
    (add(version=4) / "card.json").unlink()
    change(add(version=5) / "card.json", signature=None)
    change(moved := add(version=6, by=None) / "card.json", family="g")
    keys.sign(moved)
    found = scan_model(tmp_path, "f", checks.check)

    assert [1] == [version.version for version in found.versions]
    unsigned = "isn't signed, and a signature is required"
    assert {
        2: f"f/2/card.json: {unsigned}",
        3: f"f/3/card.json: is signed by {others.name}, which is none of the keys that are trusted",
        4: "f/4: has no card.json, and a signed card is required",
        5: f"f/5/card.json: {unsigned}",
        6: "f/6/card.json: is signed for a model called g or g-v",
    } == found.refused


def test_keys_are_rotated(tmp_path: Path, add: AddSigned, keys: KeyPair, others: KeyPair) -> None:
    """While both are trusted, versions of either serve; then those of the new one alone."""
    add("f", 1)
    add("f-v", 1, by=others)
    both = Checks(keys={keys.name: "old.pem", others.name: "new.pem"})
    assert [None, None] == [found.problem for found in scan(tmp_path, both)]
    new = Checks(keys={others.name: "new.pem"})
    assert [False, True] == [found.problem is None for found in scan(tmp_path, new)]


@pytest.mark.parametrize("required", [True, False])
def test_a_signature_that_is_wrong_is_refused_by_everybody(
    tmp_path: Path, add: AddSigned, checks: Checks, required: bool
) -> None:
    """Whether or not signatures are required: such a card was changed by somebody who hasn't the key."""
    change(add() / "card.json", metrics={"accuracy": 1.0})
    problem = problem_of(tmp_path, checks if required else Checks()) or ""
    assert problem.startswith("f/1/card.json: signature: isn't that of this card")


def test_without_the_flag_any_key_will_do(tmp_path: Path, add: AddSigned, others: KeyPair) -> None:
    """And none: signatures are demanded where the operator says so."""
    add("f", by=others)
    add("f-v", by=None)
    assert [None, None] == [found.problem for found in scan(tmp_path)]


@pytest.mark.parametrize(
    "config,file",
    [(LABELS, "labels.txt"), (WRITER, "tokenizer.json"), (STATE, "initial_state/zero")],
    ids=["labels", "tokenizer", "initial state"],
)
def test_files_beside_the_config_are_covered(
    tmp_path: Path, add: AddSigned, checks: Checks, config: str, file: str
) -> None:
    """What decides what answers mean must be in the card if the config names it; and as it was, also where
    nothing has to be signed.
    """
    path = tmp_path / "f" / file
    path.parent.mkdir(parents=True)
    (tmp_path / "f" / "config.pbtxt").write_text(config)
    path.write_bytes(b"four")
    add(version=1)
    assert f"f/{file}: no signature covers it, and a signature is required" == problem_of(tmp_path, checks)
    add(version=2, beside=(file,))
    assert [2] == [version.version for version in scan_model(tmp_path, "f", checks.check).versions]
    path.write_bytes(b"five")
    assert {1, 2} == scan_model(tmp_path, "f", checks.check).refused.keys()
    assert f"f/{file}: SHA-256 is" in (problem_of(tmp_path, checks) or "")
    unsigned = scan_model(tmp_path, "f")
    assert ([1], {2}) == ([version.version for version in unsigned.versions], set(unsigned.refused))


def test_a_config_is_the_operators(tmp_path: Path, add: AddSigned, checks: Checks) -> None:
    """How to serve isn't signed, but it leads to no file that nobody vouches for."""
    folder = add()
    (folder.parent / "config.pbtxt").write_text("max_batch_size: 4")
    assert None is problem_of(tmp_path, checks)
    (folder / "other.onnx").write_bytes(b"other")
    (folder.parent / "config.pbtxt").write_text('default_model_filename: "other.onnx"')
    assert "f/1/card.json: files doesn't name other.onnx" == problem_of(tmp_path, checks)


def test_what_has_no_card_is_refused(tmp_path: Path, checks: Checks) -> None:
    """A single file, and a model that another server computes; an ensemble is made of models that have theirs."""
    single = tmp_path / "one.onnx"
    single.write_bytes(b"model")
    assert "one.onnx: has no card.json, and a signed card is required" == scan(single, checks)[0].problem
    (tmp_path / "far").mkdir()
    remote = 'parameters { key: "hone.remote" value { string_value: "east" } }'
    (tmp_path / "far" / "config.pbtxt").write_text(remote)
    assert "a signed card is required, and a model of a remote server has none" in str(
        problem_of(tmp_path, checks, "far")
    )


def test_what_is_sent_along_must_be_signed_too(add: AddSigned, checks: Checks) -> None:
    """A client that loads its own files is no exception."""
    folder = add()
    config = parse_json_config("{}", name="f", source="config")
    files = {f"1/{path.name}": path.read_bytes() for path in folder.iterdir()}
    for sent, problem in (
        (files, None),
        ({**files, "1/model.onnx": b"MODEL 1"}, "f/1/model.onnx: SHA-256 is"),
        ({"1/model.onnx": b"model 1"}, "f/1: has no card.json, and a signed card is required"),
    ):
        override = SentFolder("f", config, sent, checks)
        found = override.take().problem
        assert found is problem if problem is None else problem in str(found)
        override.close()
