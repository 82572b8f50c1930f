"""KServe's own clients, in an environment of their own, ask a real server by both of its protocols and by gRPC."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

from tests.integration.models import identity, rows
from tests.integration.served import serving, write_model

SCRIPT = Path(__file__).with_name("kserve_calls.py")
CONFIG = "max_batch_size: 8"
DOUBLED = [[0.0, 2.0, 4.0, 6.0], [8.0, 10.0, 12.0, 14.0]]
NUMBERS = {"id": "7", "model": "rows", "shape": [2, 4], "values": [*DOUBLED[0], *DOUBLED[1]]}
TEXTS = {"id": "7", "model": "texts", "shape": [1, 2], "values": ["Grüße", ""]}
ANSWERS = {"rows True": NUMBERS, "rows False": NUMBERS, "texts True": TEXTS, "texts False": TEXTS}
MISSING = 'Request for unknown model: "nope" isn\'t served here'
WRONG = 'input "x" has shape [2, 3], model "rows" takes [-1, 4]'


@pytest.fixture(scope="module")
def told(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What the script says that they got."""
    root = tmp_path_factory.mktemp("models")
    write_model(root, "rows", config=CONFIG, model=rows())
    write_model(root, "texts", config=CONFIG, model=identity(TensorProto.STRING))
    with serving(root) as served:
        command = [str(environment / "bin" / "python"), str(SCRIPT), served.http, served.grpc]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answers: Mapping[str, Any] = json.loads(done.stdout)
    return answers


def test_the_first_protocol(told: Mapping[str, Any]) -> None:
    """By rows and by columns; a refusal is a status with our words."""
    v1 = told["v1"]

    assert [True, True] == [v1["live"], v1["ready"]]
    assert {"predictions": DOUBLED} == v1["predictions"]
    assert {"outputs": DOUBLED} == v1["outputs"]
    assert v1["missing"].startswith(f"{MISSING}, '404 Not Found'")
    assert v1["not ready"].startswith(f"{MISSING}, '404 Not Found'")
    assert v1["wrong"].startswith('input "x" has shape [1, 2], model "rows" takes [-1, 4], \'400 Bad Request\'')


def test_the_second_protocol(told: Mapping[str, Any]) -> None:
    """Health in the JSON that it expects, numbers and texts as binary data and as JSON, refusals."""
    v2 = told["v2"]

    assert [True, [True, True], False] == [v2["live"], v2["ready"], v2["not ready"]]
    assert ANSWERS == {key: v2[key] for key in ANSWERS}
    assert v2["missing"].startswith(f"{MISSING}, '404 Not Found'")
    assert v2["wrong"].startswith(f"{WRONG}, '400 Bad Request'")


def test_grpc(told: Mapping[str, Any]) -> None:
    """The same with raw and with typed contents."""
    grpc = told["grpc"]

    assert [True, [True, True], False] == [grpc["live"], grpc["ready"], grpc["not ready"]]
    assert ANSWERS == {key: grpc[key] for key in ANSWERS}
    assert f"NOT_FOUND {MISSING}" == grpc["missing"]
    assert f"INVALID_ARGUMENT {WRONG}" == grpc["wrong"]


def test_metadata(told: Mapping[str, Any]) -> None:
    """Read through KServe's messages, whose field numbers aren't Triton's in every place."""
    tensors = [["x", "FP32", [-1, 4]], ["y", "FP32", [-1, 4]]]

    assert {"server": "hone", "model": "rows", "versions": ["1"], "tensors": tensors} == told["metadata"]
