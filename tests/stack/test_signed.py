"""deploy/docker/compose.signed.yml for real: only what a trusted key has signed is served, and the log says why."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from service.artifact.card import dump_card, load_card, record_content
from tests.signing_keys import KeyPair, RequireTool, make_keys
from tests.stack.digits import check
from tests.stack.stack import ROOT, Stack, eventually, get
from tests.stack.test_compose import FILE, SIGNED

MODELS = ("digits", "digits-int8", "digits-pruned", "digits-student")
LABELS = "labels.txt"


@pytest.fixture
def keys(tmp_path: Path, require_tool: RequireTool) -> KeyPair:
    """The one that is trusted; its public half lies alone in a folder."""
    made = make_keys(require_tool("openssl"), tmp_path)
    (tmp_path / "trusted").mkdir()
    return KeyPair(private=made.private, public=made.public.rename(tmp_path / "trusted" / made.public.name))


@pytest.fixture
def repository(tmp_path: Path, keys: KeyPair) -> Path:
    """Some of the committed models, which nobody has signed, signed; cards have to name the labels then."""
    for name in MODELS:
        folder = shutil.copytree(ROOT / "models" / name, tmp_path / "models" / name)
        beside = {LABELS: record_content((folder / LABELS).read_bytes())}
        path = card(tmp_path / "models", name)
        path.write_bytes(dump_card(msgspec.structs.replace(load_card(path), beside=beside)))
        keys.sign(path)
    return tmp_path / "models"


@pytest.fixture
def signed(repository: Path, keys: KeyPair) -> Iterator[Stack]:
    """Hone by both files, up with these models and this key."""
    stack = Stack(
        f"hone-signed-{os.getpid()}",
        COMPOSE_FILE=f"{FILE}:{ROOT / SIGNED}",
        HONE_KEYS=str(keys.public.parent),
        HONE_MODEL_REPOSITORY=str(repository),
    )
    try:
        stack.up("hone")
        yield stack
    finally:
        stack.remove()


def card(repository: Path, model: str) -> Path:
    """That of a model's only version."""
    (path,) = (repository / model).glob("*/card.json")
    return path


def refused(stack: Stack) -> Mapping[str, str]:
    """Why models aren't served, by their names, as the log says it."""
    lines = [json.loads(line[line.index("{") :]) for line in stack.log("hone").splitlines() if "{" in line]
    return {line["model"]: line["reason"] for line in lines if line["event"] == "not served"}


def test_only_what_was_signed_is_served(
    signed: Stack, repository: Path, tmp_path: Path, require_tool: RequireTool
) -> None:
    """`make up` ends well, and all answer. At the next start the log says what was changed, signed by another key or by
    nobody; what else is signed answers as before.
    """
    for name in MODELS:
        check(signed, name)
    assert {} == refused(signed)

    model = card(repository, "digits-int8").with_name("model.onnx")
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    foreign = make_keys(require_tool("openssl"), tmp_path, "foreign")
    foreign.sign(card(repository, "digits-student"))
    bare = card(repository, "digits-pruned")
    bare.write_bytes(dump_card(msgspec.structs.replace(load_card(bare), signature=None)))
    signed.compose("restart", "hone")

    def status(name: str) -> int:
        return get(f"http://{signed.address('hone', 8000)}/v2/models/{name}/ready")[0]

    assert 200 == eventually(lambda: status("digits"), [200])
    check(signed)
    found = refused(signed)
    assert {"digits-int8", "digits-pruned", "digits-student"} == found.keys()
    assert "model.onnx" in found["digits-int8"]
    assert "isn't signed, and a signature is required" in found["digits-pruned"]
    assert f"is signed by {foreign.name}, which is none of the keys that are trusted" in found["digits-student"]
    assert 200 not in map(status, found)
