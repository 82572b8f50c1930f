"""Signatures of cards: whoever has no key can change nothing."""

import base64
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.artifact.card import Card, FileRecord, Machine, card_schema, dump_card, parse_card, verify_files
from service.errors import ArtifactError
from tests.repository.cards import card_of
from tests.signing_keys import KeyPair, RequireTool, make_keys, run

CARD = Card(
    schema=1,
    family="digits",
    variant="int8",
    parent="digits-teacher",
    chosen=None,
    files={"model.onnx": FileRecord(sha256="0" * 64, bytes=5)},
    beside={"labels.txt": FileRecord(sha256="1" * 64, bytes=20)},
    metrics={"accuracy": 0.936, "compute_seconds": 7.3e-05},
    evidence={"what": 'a "quoted" text with ü and \\', "signature": "none", "empty": []},
    transforms={},
    machine=Machine(architecture="x86_64", cpu="any", cores=2, cpu_flags=("avx2",), versions={}),
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, require_tool: RequireTool) -> KeyPair:
    return make_keys(require_tool("openssl"), tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def signed(keys: KeyPair, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("card") / "card.json"
    path.write_bytes(dump_card(CARD))
    keys.sign(path)
    return path.read_bytes()


def test_a_signed_card_says_by_whom(signed: bytes, keys: KeyPair) -> None:
    """A card that was signed is read as it was, and names the key as its PEM file does; an unsigned one names none."""
    card = parse_card(signed)
    assert CARD == msgspec.structs.replace(card, signature=None)
    assert (keys.name, None) == (card.signer, parse_card(dump_card(CARD)).signer)


def test_signing_again_changes_nothing(signed: bytes, keys: KeyPair, tmp_path: Path) -> None:
    """The same card signed by the same key is the same file."""
    (tmp_path / "card.json").write_bytes(signed)
    keys.sign(tmp_path / "card.json")
    assert signed == (tmp_path / "card.json").read_bytes()


def test_openssl_agrees(signed: bytes, keys: KeyPair, tmp_path: Path, require_tool: RequireTool) -> None:
    """What docs/signing.md says to do without Hone: put null in the signature's place, and ask openssl."""
    line = next(line for line in signed.decode().splitlines() if line.startswith('  "signature"'))
    (tmp_path / "signature").write_bytes(base64.b64decode(line.strip('" ').split(":")[-1]))
    (tmp_path / "signed").write_bytes(signed.replace(line.encode(), b'  "signature": null'))
    said = run(
        *(require_tool("openssl"), "pkeyutl", "-verify", "-pubin", "-inkey", keys.public, "-rawin"),
        *("-in", tmp_path / "signed", "-sigfile", tmp_path / "signature"),
    )
    assert b"Signature Verified Successfully\n" == said


@given(data=st.data())
def test_any_changed_byte_of_a_card_is_refused(signed: bytes, data: st.DataObject) -> None:
    """Wherever it is, and whatever it becomes, also where the card would say the same; so is a byte more, or less."""
    place = data.draw(st.integers(0, len(signed) - 1), label="place")
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != signed[place]), label="byte")
    for changed in (
        signed[:place] + bytes([byte]) + signed[place + 1 :],
        signed[:place] + bytes([byte]) + signed[place:],
        signed[:place] + signed[place + 1 :],
    ):
        with pytest.raises(ArtifactError, match=r"^card\.json: "):
            parse_card(changed)


@given(place=st.integers(0, 4999), byte=st.integers(1, 255))
def test_any_changed_byte_of_a_file_is_refused(
    tmp_path_factory: pytest.TempPathFactory, keys: KeyPair, place: int, byte: int
) -> None:
    """A card's signature covers the files that it names, by their digests."""
    folder = tmp_path_factory.mktemp("version")
    content = bytearray(index % 251 for index in range(5000))
    (folder / "model.onnx").write_bytes(content)
    (folder / "card.json").write_bytes(card_of(folder))
    keys.sign(folder / "card.json")
    card = parse_card((folder / "card.json").read_bytes())
    verify_files(card, folder)
    content[place] ^= byte
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.onnx: SHA-256 is"):
        verify_files(card, folder)


@pytest.mark.parametrize(
    "reformatted",
    [
        pytest.param(lambda card: json.dumps(card).encode(), id="other spaces"),
        pytest.param(
            lambda card: json.dumps(dict(reversed(card.items())), indent=2).encode() + b"\n", id="other order"
        ),
        pytest.param(lambda card: json.dumps(card, indent=2).encode(), id="no newline"),
    ],
)
def test_a_card_in_another_form_is_refused(signed: bytes, reformatted: object) -> None:
    """The form is signed too: nobody has to know which changes are harmless."""
    assert callable(reformatted)
    with pytest.raises(ArtifactError, match=r"^card\.json: signature: "):
        parse_card(reformatted(json.loads(signed)))


def test_a_signature_of_another_card_or_key_is_refused(
    signed: bytes, keys: KeyPair, tmp_path: Path, require_tool: RequireTool
) -> None:
    """Neither can be carried over, and the text says what may have happened."""
    signature = parse_card(signed).signature
    other = msgspec.structs.replace(CARD, metrics={"accuracy": 0.99}, signature=signature)
    with pytest.raises(
        ArtifactError, match=r"signature: isn't that of this card by the key .*: one of them was changed"
    ):
        parse_card(dump_card(other))
    somebody = make_keys(require_tool("openssl"), tmp_path, "somebody").name
    with pytest.raises(ArtifactError, match="isn't that of this card"):
        parse_card(signed.replace(keys.name.encode(), somebody.encode()))


def test_one_signature_has_one_spelling(signed: bytes) -> None:
    """Base64 leaves bits over that mean nothing; a signature that differs there alone is refused."""
    at = len(signed) - len('A=="\n}\n')
    for letter in b"AQgwBRhx":
        changed = signed[:at] + bytes([letter]) + signed[at + 1 :]
        if changed != signed:
            with pytest.raises(ArtifactError, match="isn't that of this card"):
                parse_card(changed)


@pytest.mark.parametrize("signature", ["", "rsa:AAAA:AAAA", f"ed25519:{'A' * 44}:{'A' * 88}", 7])
def test_what_is_no_signature_is_named(signature: object) -> None:
    """A text that can't be one is refused by its key, as any wrong value is."""
    told = json.loads(dump_card(CARD)) | {"signature": signature}
    with pytest.raises(ArtifactError, match=r"^card\.json: signature: Expected"):
        parse_card(json.dumps(told).encode())


def test_cards_from_before_are_valid() -> None:
    """Neither a signature nor files beside the config are demanded of a card; the schema says so too."""
    told = json.loads(dump_card(CARD))
    del told["signature"], told["beside"]
    assert msgspec.structs.replace(CARD, beside={}) == parse_card(json.dumps(told).encode())
    assert not {"signature", "beside"} & set(card_schema()["$defs"]["Card"]["required"])
