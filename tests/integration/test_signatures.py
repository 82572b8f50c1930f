"""`--require-signature`: a real server serves what was signed with a trusted key, and nothing else."""

import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from service.artifact.card import dump_card, load_card
from tests.engine.ensemble.doubles import step
from tests.integration.served import (
    CONFIG,
    Served,
    metric,
    mlp,
    reference,
    run_to_end,
    serving,
    write_ensemble,
    write_model,
)
from tests.integration.test_check import printed
from tests.integration.test_reload import EXPLICIT, POLL, Index
from tests.repository.cards import card_of
from tests.signing_keys import KeyPair, RequireTool, make_keys

NAME = "f"
"""What the cards of these tests are about."""
X = np.linspace(-1, 1, 64, dtype=np.float32)[None]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory, require_tool: RequireTool) -> KeyPair:
    return make_keys(require_tool("openssl"), tmp_path_factory.mktemp("keys"), "old")


@pytest.fixture(scope="module")
def new(old: KeyPair, require_tool: RequireTool) -> KeyPair:
    """Beside the old one, in the same folder."""
    return make_keys(require_tool("openssl"), old.public.parent, "new")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory, require_tool: RequireTool) -> KeyPair:
    return make_keys(require_tool("openssl"), tmp_path_factory.mktemp("foreign"), "foreign")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def add(root: Path, version: int, key: KeyPair | None, name: str = NAME) -> Path:
    """A version whose weights are drawn by its number, complete before it is seen."""
    scratch = write_model(root.parent / "scratch", name, model=mlp(version), version=version)
    (scratch / "card.json").write_bytes(card_of(scratch))
    if key:
        key.sign(scratch / "card.json")
    (root / name).mkdir(exist_ok=True)
    (root / name / "config.pbtxt").write_text(CONFIG)
    return scratch.rename(root / name / str(version))


def answers_like(served: Served, version: int) -> bool:
    tensor = triton.InferInput("x", [1, 64], "FP32")
    tensor.set_data_from_numpy(X)
    with triton.InferenceServerClient(served.http.removeprefix("http://")) as client:
        answer = client.infer(NAME, [tensor]).as_numpy("y")
    return bool(np.allclose(answer, reference(X, version), rtol=1e-3, atol=1e-4))


def client_of(served: Served, protocol: str) -> Any:
    """One of the stock clients."""
    if protocol == "grpc":
        return triton_grpc.InferenceServerClient(served.grpc)
    return triton.InferenceServerClient(served.http.removeprefix("http://"))


def test_keys_are_rotated_while_it_serves(root: Path, old: KeyPair, new: KeyPair, foreign: KeyPair) -> None:
    """With both keys trusted, a version by the new one takes over; one by nobody's, or anybody's, doesn't, and says why
    in the index and in the log.
    """
    add(root, 1, old)
    with serving(root, *POLL, "0.2", "--require-signature", str(new.public.parent)) as served:
        index = Index(served)
        add(root, 2, new)
        index.wait(f_2="READY")
        add(root, 3, foreign)
        add(root, 4, None)
        index.wait(f_2="READY", f_3="UNAVAILABLE", f_4="UNAVAILABLE")
        reasons = {
            "3": f"f/3/card.json: is signed by {foreign.name}, which is none of the keys that are trusted",
            "4": "f/4/card.json: isn't signed, and a signature is required",
        }
        assert reasons == {version: index.reason(NAME, version) for version in reasons}
        logged = {line["version"]: line["reason"] for line in served.log if line.get("event") == "not served"}
        assert reasons == logged
        assert answers_like(served, 2)


@pytest.mark.parametrize("file", ["model.onnx", "card.json"])
def test_a_changed_file_is_not_loaded(root: Path, old: KeyPair, file: str) -> None:
    """The load answers with what is wrong, and what served before goes on."""
    path = add(root, 1, old) / file
    flags = (*EXPLICIT, "--load-model", NAME, "--require-signature", str(old.public))
    with serving(root, *flags) as served:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        refused = pytest.raises(InferenceServerException, match=rf'failed to load "f": f/1/{file}: .*goes on serving')
        with triton.InferenceServerClient(served.http.removeprefix("http://")) as client, refused:
            client.load_model(NAME)
        assert answers_like(served, 1)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_load_with_files_needs_a_signed_card_among_them(root: Path, old: KeyPair, protocol: str) -> None:
    """Files that a client sends are held to the same, over both protocols."""
    sent = {f"file:1/{path.name}": path.read_bytes() for path in add(root, 1, old).iterdir()}
    config = json.dumps({"max_batch_size": 16})
    with serving(root, *EXPLICIT, "--require-signature", str(old.public)) as served:
        with contextlib.closing(client_of(served, protocol)) as client:
            for files, problem in (
                ({"file:1/model.onnx": mlp(2)}, "has no card.json, and a signed card is required"),
                ({**sent, "file:1/model.onnx": mlp(2)}, "model.onnx: SHA-256 is"),
            ):
                with pytest.raises(InferenceServerException, match=problem):
                    client.load_model(NAME, config=config, files=files)
            client.load_model(NAME, config=config, files=sent)
        assert answers_like(served, 1)


def test_an_ensemble_of_unsigned_models_does_not_serve(root: Path, old: KeyPair) -> None:
    """It has no card of its own, and is as trustworthy as what it is made of."""
    add(root, 1, old)
    write_ensemble(root, "good", step(NAME, "x=x", "y=y"), inputs="x:FP32:64", outputs="y:FP32:10")
    write_ensemble(root, "bad", step("f-v", "x=x", "y=y"), inputs="x:FP32:64", outputs="y:FP32:10")
    add(root, 1, None, "f-v")
    with serving(root, "--require-signature", str(old.public)) as served:
        states = Index(served).states()
    assert ("READY", "READY") == (states["f/1"], states["good/1"])
    assert "READY" not in (states["f-v/1"], states["bad/1"])


def test_check_says_whose_signature_it_is(root: Path, old: KeyPair, foreign: KeyPair) -> None:
    """That it is valid, by which key, in which file; a signature that isn't trusted is what is wrong."""
    add(root, 1, old)
    code, table = printed(root, "--require-signature", str(old.public))
    assert 0 == code
    assert f"version 1: its signature is valid, by {old.name} (old.pem)" in table
    assert f"by {old.name} (no --require-signature says whether to trust it)" in printed(root)[1]
    code, text = printed(root, "--json")
    assert (0, {"1": old.name}) == (code, json.loads(text)[0]["signed_by"])
    code, table = printed(root, "--require-signature", str(foreign.public))
    assert 2 == code
    assert f"version 1: f/1/card.json: is signed by {old.name}, which is none of the keys" in table


def test_a_cpu_with_fewer_instructions_is_warned_of(root: Path, old: KeyPair) -> None:
    """In the log when the version begins to serve, by a metric while it does, and by `check`; it serves."""
    path = add(root, 1, None) / "card.json"
    card = load_card(path)
    path.write_bytes(
        dump_card(
            msgspec.structs.replace(card, machine=msgspec.structs.replace(card.machine, cpu_flags=("avx9", "amx_int9")))
        )
    )
    warning = "the CPU that it was validated on has avx9, amx_int9, this one hasn't"
    with serving(root) as served:
        (line,) = [line for line in served.log if line.get("event") == "answers and times may differ"]
        assert ("warning", NAME, "1", warning) == (line["level"], line["model"], line["version"], line["reason"])
        for name in ("avx9", "amx_int9"):
            assert 1 == metric(served, "hone_model_missing_instructions", model=NAME, version="1", instructions=name)
        assert answers_like(served, 1)
    code, text = printed(root, "--json")
    assert (0, [f"version 1: {warning}"]) == (code, json.loads(text)[0]["warnings"])


def test_keys_that_cannot_be_read_end_it_at_once(root: Path, tmp_path: Path) -> None:
    """Exit code 2 and a line that names flag, variable and file, before any model is looked at."""
    code, text = run_to_end(
        ["run", "--model-repository", str(root)], HONE_REQUIRE_SIGNATURE=str(tmp_path / "missing.pem")
    )
    assert 2 == code
    problem = "missing.pem: can't be read (No such file or directory)"
    assert text.startswith(f"hone-serve: --require-signature (HONE_REQUIRE_SIGNATURE): {problem}")
