"""Models that are sent along with a request to load them, by the stock clients."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.integration.load import Clients
from tests.integration.served import CONFIG, Served, metric, mlp, reference, serving, write_model
from tests.integration.test_reload import assert_swapped
from tests.repository.cards import card_of

EXPLICIT = ("--model-control-mode", "explicit")
TENSORS = {
    "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [64]}],
    "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [10]}],
}
X = np.linspace(-1, 1, 64, dtype=np.float32)[None]


class Door:
    """One of the stock clients; what it is told comes as JSON."""

    def __init__(self, served: Served, protocol: str) -> None:
        self._library: Any = triton_grpc if protocol == "grpc" else triton
        address = served.grpc if protocol == "grpc" else served.http.removeprefix("http://")
        self.client: Any = self._library.InferenceServerClient(address)
        self._options = {"as_json": True} if protocol == "grpc" else {}

    def load(self, name: str, config: dict[str, Any] | str | None = None, **files: bytes) -> None:
        """With files by version and name, `_1_model`."""
        sent = {f"file:{key[1:].replace('_', '/')}.onnx": content for key, content in files.items()}
        text = config if isinstance(config, str | None) else json.dumps(config)
        self.client.load_model(name, config=text, files=sent or None)

    def config(self, name: str) -> dict[str, Any]:
        told = self.client.get_model_config(name, **self._options)
        found: dict[str, Any] = told.get("config", told)
        return found

    def states(self) -> dict[str, str]:
        index = self.client.get_model_repository_index(**self._options)
        entries = index if isinstance(index, list) else index["models"]
        return {f"{entry['name']}/{entry.get('version', '')}": entry.get("state", "") for entry in entries}

    def lists(self, **states: str) -> bool:
        """Whether the index comes to have exactly this, `mlp_1="READY"`, beside `two`, which nobody has loaded."""
        wanted = {name.replace("_", "/"): state for name, state in states.items()} | {"two/": ""}
        until = time.monotonic() + 10
        while (found := self.states()) != wanted:
            assert time.monotonic() < until, found
            time.sleep(0.02)
        return True

    def answers_like(self, seed: int, name: str = "mlp") -> bool:
        """Whether the model that answers is the one with these weights."""
        tensor = self._library.InferInput("x", [1, 64], "FP32")
        tensor.set_data_from_numpy(X)
        answer = self.client.infer(name, [tensor]).as_numpy("y")
        return bool(np.allclose(answer, reference(X, seed), rtol=1e-3, atol=1e-4))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """A server for all, and the folder that its own temporary ones are made in."""
    root = tmp_path_factory.mktemp("overrides")
    (root / "tmp").mkdir()
    write_model(root / "models", "mlp")
    write_model(root / "models", "two", config=CONFIG + "version_policy { all { } }")
    write_model(root / "models", "two", config=None, version=2, model=b"nonsense")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(root / "tmp"))
        with serving(root / "models", *EXPLICIT, "--max-binary-bytes", "100000") as served:
            yield served, root / "tmp"


@pytest.fixture(params=["http", "grpc"])
def door(request: pytest.FixtureRequest, shared: tuple[Served, Path]) -> Iterator[Door]:
    """Each client; nothing is loaded when it comes, and no file is left when it goes."""
    served, folder = shared
    found = Door(served, request.param)
    yield found
    for name in ("mlp", "two", "guest"):
        found.client.unload_model(name)
    assert {"mlp/": "", "two/": ""} == {f"{name.split('/')[0]}/": "" for name in found.states()}
    assert [] == list(folder.iterdir())


def test_a_configuration_takes_the_place_of_the_folder_s_own(door: Door) -> None:
    """Until the model is loaded anew; one that the server itself has told is taken, changed or not."""
    door.load("mlp")
    told = door.config("mlp")
    assert 16 == told["max_batch_size"]
    door.load("mlp", told | {"max_batch_size": 4})
    assert 4 == door.config("mlp")["max_batch_size"]
    assert door.answers_like(0)
    assert door.lists(mlp_1="READY")

    door.load("mlp")
    assert 16 == door.config("mlp")["max_batch_size"]
    door.load("mlp", {"max_batch_size": 2})  # the rest is the model's own to say
    assert (2, "x") == (door.config("mlp")["max_batch_size"], door.config("mlp")["input"][0]["name"])


def test_files_take_the_place_of_the_whole_folder(door: Door) -> None:
    """In the versions that their paths name, also of a model that the repository doesn't have; loaded without them,
    or unloaded, a model is what the repository has.
    """
    door.load("mlp")
    door.load("mlp", TENSORS | {"max_batch_size": 8}, _7_model=mlp(7))
    assert door.lists(mlp_7="READY")
    assert door.answers_like(7)
    assert ["7"] == door.client.get_model_metadata("mlp", **door._options)["versions"]
    door.load("mlp", {"max_batch_size": 8, "version_policy": {"all": {}}}, _1_model=mlp(1), _2_model=mlp(2))
    assert door.lists(mlp_1="READY", mlp_2="READY")
    assert door.answers_like(2)
    door.load("mlp")
    assert door.lists(mlp_1="READY")
    assert door.answers_like(0)

    door.load("guest", {"max_batch_size": 8}, _1_model=mlp(3))
    assert door.answers_like(3, "guest")
    with pytest.raises(InferenceServerException, match='no model "guest" in the repository'):
        door.load("guest")
    assert door.answers_like(3, "guest")
    door.client.unload_model("guest")
    assert door.lists(mlp_1="READY")


def test_a_load_that_fails_is_a_bad_request(door: Door) -> None:
    """At both doors, whatever is wrong; a configuration that was sent is not taken for the file in the folder."""
    gpu = {"instance_group": [{"kind": "KIND_GPU"}]}
    remote = {"parameters": {"hone.remote": {"string_value": "nowhere"}}}
    integers = TENSORS | {"input": [{"name": "x", "data_type": "TYPE_INT32", "dims": [64]}], "max_batch_size": 8}
    wrong: list[tuple[dict[str, Any], dict[str, bytes], str]] = [
        ({}, {"_1_model": b"garbage"}, "isn't ONNX"),
        (integers, {}, 'the configuration that was sent: input "x": config says INT32, the model has FP32'),
        (integers, {"_1_model": mlp()}, 'the configuration that was sent: input "x"'),
        (gpu, {}, "KIND_GPU"),
        (remote, {}, "no --remote nowhere=URL"),
    ]
    for config, files, text in wrong:
        with pytest.raises(InferenceServerException, match=text) as caught:
            door.load("mlp", config, **files)
        assert caught.value.status() in {"400", "StatusCode.INVALID_ARGUMENT"}
        assert "config.pbtxt" not in str(caught.value)


@pytest.mark.parametrize("door", ["http"], indirect=True)
def test_a_bad_override_leaves_what_serves(door: Door) -> None:
    """Whatever is wrong with it is said, and with whose parameter; a version that is sound is served."""
    door.load("mlp", {"max_batch_size": 8}, _7_model=mlp(7))
    wrong: list[tuple[dict[str, Any] | str, dict[str, bytes], str]] = [
        ("{", {}, "the configuration that was sent: the JSON is malformed"),
        ("[]", {}, "the configuration that was sent: expected a JSON object"),
        ("[" * 5000, {}, "the configuration that was sent: the JSON is malformed"),
        ('{"parameters": ' * 200 + "1" + "}" * 200, {}, "the configuration that was sent"),
        ({"max_batch_sise": 8}, {}, 'unknown key "max_batch_sise", did you mean "max_batch_size"'),
        ({"input": [{"name": "x", "data_type": "TYPE_FP31"}]}, {}, 'unknown value TYPE_FP31 .* mean "TYPE_FP32"'),
        ({"max_batch_size": "many"}, {}, "the configuration that was sent: .*max_batch_size"),
        ({"name": "other"}, {}, 'the configuration that was sent: name is "other"'),
        ({"ensemble_scheduling": {}, "platform": "none"}, {}, "the configuration that was sent: "),
        ({"parameters": {"hone.remote": {"string_value": "east"}}}, {"_1_model": mlp()}, "no files can be sent along"),
        ({"max_batch_size": 8}, {"_1_model": b"nonsense"}, "mlp/1: .*isn't ONNX.*version 7 goes on serving"),
        ({"max_batch_size": 8}, {"_1_other": mlp()}, "mlp/1/model.onnx: no such file"),
        ({**TENSORS, "input": [{"name": "z", "data_type": 11, "dims": [64]}]}, {"_7_model": mlp()}, 'input "z"'),
    ]
    for config, files, text in wrong:
        with pytest.raises(InferenceServerException, match=text) as caught:
            door.load("mlp", config, **files)
        assert "400" == caught.value.status()
        assert door.answers_like(7)
    both = {"version_policy": {"latest": {"num_versions": 2}}, "max_batch_size": 8}
    with pytest.raises(InferenceServerException, match=r"mlp/9: .*isn't ONNX.*version 8 was loaded"):
        door.load("mlp", both, _8_model=mlp(8), _9_model=b"nonsense")
    assert door.answers_like(8)
    with pytest.raises(InferenceServerException, match=r"two/2: .*isn't ONNX.*version 1 was loaded"):
        door.load("two", {"max_batch_size": 4})
    assert 4 == door.config("two")["max_batch_size"]


def test_a_card_vouches_for_what_is_sent(shared: tuple[Served, Path], tmp_path: Path) -> None:
    """A digest that differs refuses the files, one that fits doesn't; labels come along too."""
    door = Door(shared[0], "http")
    (tmp_path / "model.onnx").write_bytes(mlp(5))
    card = card_of(tmp_path)
    outputs = [{**TENSORS["output"][0], "label_filename": "labels.txt"}]
    config = json.dumps(TENSORS | {"max_batch_size": 8, "output": outputs})
    files = {"file:1/card.json": card, "file:labels.txt": b"\n".join(b"class%d" % number for number in range(10))}
    with pytest.raises(InferenceServerException, match=r"guest/1.*model.onnx"):
        door.client.load_model("guest", config=config, files=files | {"file:1/model.onnx": mlp(6)})
    door.client.load_model("guest", config=config, files=files | {"file:1/model.onnx": mlp(5)})

    tensor = triton.InferInput("x", [1, 64], "FP32")
    tensor.set_data_from_numpy(X)
    top = door.client.infer("guest", [tensor], outputs=[triton.InferRequestedOutput("y", class_count=1)])
    best = int(np.argmax(reference(X, 5)))
    assert top.as_numpy("y")[0, 0].decode().endswith(f":{best}:class{best}")
    door.client.unload_model("guest")


def test_a_swap_to_what_is_sent_loses_nothing(shared: tuple[Served, Path]) -> None:
    """Under load; a worker that is killed later finds its model, though no file of it is left."""
    served, folder = shared
    door = Door(served, "http")
    door.load("mlp")
    before = set(served.workers())
    with Clients(served.address, 4, seeds={"1": 0, "2": 2}) as clients:
        door.load("mlp", {"max_batch_size": 16, "dynamic_batching": {}}, _2_model=mlp(2))
        time.sleep(0.3)  # for somebody to be answered by the new version
        tally = clients.stop()
    assert ([], []) == (tally.wrong, tally.lost)
    assert_swapped(tally, "1", "2")
    assert [] == list(folder.iterdir())
    (worker,) = set(served.workers()) - before
    os.kill(worker, signal.SIGKILL)
    with contextlib.suppress(InferenceServerException):
        door.answers_like(2)
    assert door.answers_like(2)
    assert 1 == metric(served, "hone_worker_restarts_total", model="mlp", version="2")
    door.client.unload_model("mlp")


def test_files_are_bounded_as_bodies_are(door: Door) -> None:
    """Nothing of the model that serves is touched."""
    door.load("mlp")
    with pytest.raises(InferenceServerException, match=r"larger than"):
        door.load("mlp", {}, _1_model=bytes(2 << 20))

    assert door.answers_like(0)
