"""The card: what it must say, how it refuses what is wrong, and how it vouches for files."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.artifact.card import (
    CARD_MAX_BYTES,
    Card,
    Grayscale,
    Invert,
    Machine,
    Resize,
    ToTensor,
    card_schema,
    dump_card,
    load_card,
    parse_card,
    record_files,
    verify_files,
)
from service.artifact.digest import sha256_bytes, sha256_file
from service.errors import ArtifactError

SCHEMA = Path(__file__).resolve().parents[2] / "models" / "card.schema.json"
MODEL = b"the model"


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A version folder with one file in it."""
    folder = tmp_path / "digits" / "3"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(MODEL)
    return folder


@pytest.fixture
def card(version: Path) -> Card:
    return Card(
        schema=1,
        family="digits",
        variant="int8",
        parent="digits-teacher",
        chosen=None,
        files=record_files(version, ("model.onnx",)),
        metrics={"accuracy": 0.99},
        evidence={"images": {"test": 450}},
        transforms={
            "image": (
                Grayscale(),
                Invert(when="light_background"),
                Resize(height=16, width=16, filter="area"),
                ToTensor(layout="CHW", datatype="UINT8"),
            )
        },
        machine=Machine(architecture="x86_64", cpu="any", cores=2, cpu_flags=("avx2",), versions={"numpy": "2"}),
    )


def changed(card: Card, **changes: Any) -> bytes:
    return json.dumps({**json.loads(dump_card(card)), **changes}).encode()


def test_a_card_survives_its_file(card: Card, version: Path) -> None:
    """A card written to a file and read again is the same card."""
    (version / "card.json").write_bytes(dump_card(card))
    assert load_card(version / "card.json") == card


def test_equal_cards_give_equal_bytes(card: Card) -> None:
    """The bytes of a card don't depend on the order in which its tables were filled."""
    told = json.loads(dump_card(card))
    turned = json.dumps({key: told[key] for key in reversed(told)}).encode()
    assert dump_card(parse_card(turned)) == dump_card(card)


def test_the_committed_schema_is_that_of_the_card() -> None:
    """models/card.schema.json is exactly what the code accepts."""
    assert json.loads(SCHEMA.read_text()) == card_schema()


def test_a_valid_card_has_the_keys_of_the_schema(card: Card) -> None:
    """A dumped card has every required key of the committed schema and no key that it doesn't list."""
    told = json.loads(dump_card(card))
    told_machine = told["machine"]
    definitions = json.loads(SCHEMA.read_text())["$defs"]
    for name, found in (("Card", told), ("Machine", told_machine), ("FileRecord", told["files"]["model.onnx"])):
        assert set(definitions[name]["required"]) <= set(found) <= set(definitions[name]["properties"])
        assert definitions[name]["additionalProperties"] is False


@pytest.mark.parametrize(
    "key,value,text",
    [
        ("schema", 2, "schema"),
        ("family", "../etc", "family"),
        ("family", 7, "family"),
        ("files", {"model.onnx": {"sha256": "abc", "bytes": 1}}, "sha256"),
        ("files", {"model.onnx": {"sha256": "0" * 64, "bytes": -1}}, "bytes"),
        ("metrics", {"accuracy": "high"}, "metrics"),
        ("transforms", {"image": [{"kind": "sharpen"}]}, "transforms"),
        (
            "transforms",
            {"ids": [{"kind": "tokenize", "file": "tokenizer.json", "gives": "ids", "max_length": 8}]},
            "transforms: `tokenizer.json` isn't one of the card's files",
        ),
        (
            "transforms",
            {"ids": [{"kind": "tokenize", "file": "t", "gives": "type_ids", "max_length": 8, "pad": 2**31}]},
            "pad: Expected `int` <= 2147483647",
        ),
        ("colour", "red", "colour"),
    ],
)
def test_a_wrong_key_is_named(card: Card, key: str, value: object, text: str) -> None:
    """A card with a wrong, strange or unknown value is refused, naming the file and the key."""
    with pytest.raises(ArtifactError, match=f"^card.json: .*{text}"):
        parse_card(changed(card, **{key: value}))


def test_a_missing_key_is_named(card: Card) -> None:
    """A card that leaves a key out is refused, naming it."""
    told = json.loads(dump_card(card))
    del told["schema"]
    with pytest.raises(ArtifactError, match="schema"):
        parse_card(json.dumps(told).encode())


@pytest.mark.parametrize("path", ["../model.onnx", "/etc/passwd", "", ".", "a/../../b", "a\\b"])
def test_a_card_names_only_files_of_its_folder(card: Card, path: str) -> None:
    """A card that names a file elsewhere is refused before anything is opened."""
    with pytest.raises(ArtifactError, match="inside the version folder"):
        parse_card(changed(card, files={path: {"sha256": "0" * 64, "bytes": 1}}))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_refused(content: bytes) -> None:
    """Broken JSON, of whatever kind, is an artifact error that names the file."""
    with pytest.raises(ArtifactError, match=r"^card\.json: "):
        parse_card(content)


def test_errors_name_model_version_and_file_but_no_folder_above(version: Path) -> None:
    """An operator finds the file by the error, and a client learns nothing about the machine."""
    with pytest.raises(ArtifactError) as caught:
        load_card(version / "card.json")
    assert str(caught.value) == "digits/3/card.json: no such file"


def test_an_oversized_card_is_refused_unread(version: Path) -> None:
    """A file beyond the bound isn't read at all."""
    with (version / "card.json").open("wb") as file:
        file.truncate(CARD_MAX_BYTES + 1)
    with pytest.raises(ArtifactError, match="at most"):
        load_card(version / "card.json")


def test_files_as_recorded_are_verified(card: Card, version: Path) -> None:
    """A folder whose files are those on the card passes."""
    verify_files(card, version)


def test_a_missing_file_is_named(card: Card, version: Path) -> None:
    """A version whose card names a file that isn't there is refused, naming it."""
    (version / "model.onnx").unlink()
    with pytest.raises(ArtifactError, match=r"digits/3/model\.onnx: no such file"):
        verify_files(card, version)


@pytest.mark.parametrize("content,text", [(MODEL + b"!", "10 bytes"), (MODEL[::-1], "SHA-256")])
def test_a_changed_file_is_named(card: Card, version: Path, content: bytes, text: str) -> None:
    """A version whose file differs in length or content from its card is refused, naming it."""
    (version / "model.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"model\.onnx: .*{text}"):
        verify_files(card, version)


def test_a_link_out_of_the_folder_is_refused(card: Card, version: Path) -> None:
    """Even the right content is refused behind a link that leads elsewhere."""
    elsewhere = version.parent / "elsewhere.onnx"
    (version / "model.onnx").rename(elsewhere)
    (version / "model.onnx").symlink_to(elsewhere)
    with pytest.raises(ArtifactError, match="leads out"):
        verify_files(card, version)


def test_a_file_and_its_bytes_have_one_digest(version: Path) -> None:
    """The digest of a file is that of its content."""
    assert sha256_file(version / "model.onnx") == sha256_bytes(MODEL)
