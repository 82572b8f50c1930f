"""Starting with something wrong: one line that names it, and the exit code that says what kind of thing it is."""

import json
import re
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration import models
from tests.integration.served import CONFIG, mlp, run_to_end, serving, write_model


def unknown_key(root: Path) -> None:
    write_model(root, "m", config=CONFIG + "\nmax_batchsize: 3\n")


def unknown_parameter(root: Path) -> None:
    parameter = 'parameters { key: "hone.presicion" value: { string_value: "f32" } }'
    write_model(root, "m", config=CONFIG + parameter)


def missing_file(root: Path) -> None:
    (write_model(root, "m") / "model.onnx").unlink()


def corrupt_file(root: Path) -> None:
    write_model(root, "m", model=mlp()[:200])


def wrong_dims(root: Path) -> None:
    write_model(root, "m", config=CONFIG.replace("dims: [ 64 ]", "dims: [ 63 ]"))


def wrong_digest(root: Path) -> None:
    version = write_model(root, "m")
    card = {
        "schema": 1,
        "family": "m",
        "variant": "m",
        "parent": None,
        "chosen": None,
        "files": {"model.onnx": {"sha256": "0" * 64, "bytes": (version / "model.onnx").stat().st_size}},
        "metrics": {},
        "evidence": {},
        "transforms": {},
        "machine": {"architecture": "x", "cpu": "x", "cores": 1, "cpu_flags": [], "versions": {}},
    }
    (version / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    "spoil, text",
    [
        (unknown_key, "max_batchsize.*did you mean.*max_batch_size"),
        (unknown_parameter, "hone.presicion.*hone.precision"),
        (missing_file, "m/1/model.onnx: no such file"),
        (corrupt_file, "model file isn't ONNX"),
        (wrong_dims, r'input ."x.*\[-1, 63\].*\[-1, 64\]'),
        (wrong_digest, "m/1/model.onnx.*(SHA-256|sha256)"),
    ],
)
def test_a_broken_model_is_named_and_does_not_stop_the_others(
    tmp_path: Path, spoil: Callable[[Path], None], text: str
) -> None:
    """The broken model's line names file and key; a sound one beside it serves. Alone, it is exit code 2."""
    spoil(tmp_path)
    code, errors = run_to_end(
        ["run", "--model-repository", str(tmp_path), "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
    )
    assert 2 == code
    lines = [line for line in errors.splitlines() if '"not served"' in line]
    assert 1 == len(lines), errors
    assert re.search(text, lines[0]), lines[0]

    write_model(tmp_path, "sound")
    with serving(tmp_path) as served:
        assert served.process.poll() is None
        assert any(line.get("models") == ["sound/1"] for line in served.log)


@pytest.mark.parametrize(
    "arguments, variables, code, text",
    [
        (["--http-prot", "1"], {}, 2, "--http-prot"),
        (["--http-port", "99999"], {}, 2, "--http-port.*99999"),
        ([], {"HONE_HTTP_PORT": "many"}, 2, "HONE_HTTP_PORT.*many"),
        ([], {"HONE_HTTP_PRT": "1"}, 2, "HONE_HTTP_PRT.*HONE_HTTP_PORT"),
        (["--model-repository", "nowhere"], {}, 2, "--model-repository.*nowhere.*no such folder"),
        (["nowhere.onnx"], {}, 2, "nowhere.onnx"),
    ],
)
def test_a_wrong_flag_or_variable_is_named(
    arguments: list[str], variables: dict[str, str], code: int, text: str
) -> None:
    """One line on stderr, exit code 2."""
    found, errors = run_to_end(arguments, **variables)

    assert code == found
    assert re.search(text, errors.splitlines()[-1]), errors
    assert "Traceback" not in errors


def test_an_empty_repository_is_not_served(tmp_path: Path) -> None:
    """Nothing to serve is exit code 2, with a line that says so."""
    code, errors = run_to_end(
        ["run", "--model-repository", str(tmp_path), "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
    )

    assert 2 == code
    assert "no model" in errors


@pytest.mark.parametrize("flag", ["--http-port", "--grpc-port", "--metrics-port"])
def test_a_port_in_use_is_exit_code_3(tmp_path: Path, flag: str) -> None:
    """The line names flag, address and port; nothing is left running."""
    write_model(tmp_path, "m")
    ports = {"--http-port": "0", "--grpc-port": "0", "--metrics-port": "0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports[flag] = str(taken.getsockname()[1])
        flags = [text for pair in ports.items() for text in pair]
        code, errors = run_to_end(["run", "--model-repository", str(tmp_path), *flags])

    assert 3 == code
    assert f"{flag}: can't listen on 127.0.0.1:{ports[flag]}" in errors


def test_a_single_file_is_served_without_any_configuration(tmp_path: Path) -> None:
    """`hone-serve model.onnx` names the model after the file and finds out by itself that it can be batched."""
    path = tmp_path / "tiny.onnx"
    path.write_bytes(mlp())
    with serving(path) as served:
        assert any(line.get("models") == ["tiny/1"] for line in served.log)


def test_check_says_what_is_wrong_without_serving(tmp_path: Path) -> None:
    """`check` lists sound and broken models, and its exit code tells whether all are sound."""
    write_model(tmp_path, "good")
    assert 0 == run_to_end(["check", "--model-repository", str(tmp_path)])[0]
    unknown_key(tmp_path)
    assert 2 == run_to_end(["check", "--model-repository", str(tmp_path), "--json"])[0]


def test_a_model_that_refuses_zeros_is_served(tmp_path: Path) -> None:
    """It is tried with golden samples that it takes, and its requests share batches; without them each is alone."""
    config = "max_batch_size: 4 dynamic_batching { }"
    x = np.array([[1], [2], [10], [-5], [4]], np.int32)
    samples: dict[str, Any] = {"input.x": x, "output.y": 1000 // x}
    version = write_model(tmp_path / "models", "m", config=config, model=models.divided())
    for known in (False, True):
        if known:
            np.savez(version / "golden.npz", **samples)
        with serving(tmp_path / "models", "--cache-dir", str(tmp_path / str(known))) as served:  # what is known is kept
            body = {"inputs": [{"name": "x", "datatype": "INT32", "shape": [1, 1], "data": [8]}]}
            request = urllib.request.Request(f"{served.http}/v2/models/m/infer", json.dumps(body).encode())
            with urllib.request.urlopen(request, timeout=5) as response:
                assert [125] == json.load(response)["outputs"][0]["data"]
            events = [str(line["event"]) for line in served.log]
        assert any("Hone made them up" in event for event in events)
        assert known != any("it isn't known whether a batch-mate" in event for event in events)
