"""A Hone with models of every kind, and clients that ask all of them for everything until they are stopped."""

import http.client
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton

from loadtests.served import ROOT
from tests.integration.models import lengths, slow, summing
from tests.integration.served import CONFIG, Served, serving, write_model

FAMILY = ("digits", "digits-teacher", "digits-int8")
PADDED = """
max_batch_size: 8
input [ { name: "ids" data_type: TYPE_INT64 dims: [ -1 ] }, { name: "mask" data_type: TYPE_INT64 dims: [ -1 ] } ]
output [ { name: "states" data_type: TYPE_FP32 dims: [ -1 ] }, { name: "total" data_type: TYPE_FP32 dims: [] } ]
dynamic_batching { }
parameters { key: "hone.length.ids" value { string_value: "axis=1 buckets=16,32 pad=0 mask=mask" } }
parameters { key: "hone.length.mask" value { string_value: "axis=1 buckets=16,32 pad=0" } }
parameters { key: "hone.unpad.states" value { string_value: "axis=1 like=ids" } }
"""
SUM = """
max_batch_size: 8
sequence_batching {
  state [ { input_name: "sum" output_name: "new_sum" data_type: TYPE_FP32 dims: [ 1 ] } ]
}
"""
SLOW = CONFIG.replace("max_batch_size: 16", "max_batch_size: 4")


@contextmanager
def loaded(root: Path) -> Iterator[Served]:
    """For the time of a block; one model has been unloaded and loaded again, and one worker has been killed."""
    for name in FAMILY:
        shutil.copytree(ROOT / "models" / name, root / name)
    _validated_elsewhere(root / FAMILY[-1])
    write_model(root, "kept", config=CONFIG + "response_cache { enable: true }")
    write_model(root, "padded", config=PADDED, model=lengths())
    write_model(root, "sum", config=SUM, model=summing())
    write_model(root, "slow", config=SLOW, model=slow())
    flags = ["--model-control-mode", "explicit", "--load-model", "*", "--response-cache-byte-size", "1000000"]
    with serving(root, *flags) as served:
        clients = _Clients(served)
        clients.start()
        try:
            for verb in ("unload", "load"):
                assert 200 == _post(served, f"/v2/repository/models/{FAMILY[-1]}/{verb}", {})
            os.kill(served.workers()[0], signal.SIGKILL)
            yield served
        finally:
            clients.stop()


def _validated_elsewhere(model: Path) -> None:
    """Its cards are of a machine with instructions that no CPU has."""
    for path in model.glob("*/card.json"):
        card = json.loads(path.read_text())
        card["machine"]["cpu_flags"] = ["avx9"]
        path.write_text(json.dumps(card))


class _Clients(threading.Thread):
    """Owns the clients: one that asks for all of it in turn, over both protocols."""

    def __init__(self, served: Served) -> None:
        super().__init__()
        self._served = served
        self._over = threading.Event()

    def run(self) -> None:
        """Ask for everything, again and again."""
        grpc = triton.InferenceServerClient(self._served.grpc)
        rng, turn = np.random.default_rng(0), 0
        while not self._over.is_set():
            turn += 1
            for name in FAMILY:
                image = rng.integers(0, 255, (1, 1, 24, 24)).astype(np.uint8)
                self._ask(name, image=("UINT8", image))
                self._ask_over_grpc(grpc, name, image)
            self._ask("kept", x=("FP32", np.ones((1, 64), np.float32)))
            ids = np.ones((1, 1 + turn % 16), np.int64)
            self._ask("padded", ids=("INT64", ids), mask=("INT64", ids))
            x = ("FP32", np.ones((1, 1), np.float32))
            self._ask("sum", {"sequence_id": turn, "sequence_start": True, "sequence_end": turn % 2 > 0}, x=x)
            row = ("FP32", np.ones((1, 64), np.float32))
            self._ask("slow", x=row)
            self._ask("slow", {"timeout": 1}, x=row)  # refused: no microsecond suffices
            self._ask("slow", x=("FP32", np.ones((1, 3), np.float32)))  # the client's fault
            time.sleep(0.05)
        grpc.close()

    def stop(self) -> None:
        """Let it finish what it is at."""
        self._over.set()
        self.join(30)

    def _ask(self, model: str, parameters: dict[str, Any] | None = None, **inputs: tuple[str, Any]) -> None:
        tensors = [
            {"name": name, "datatype": datatype, "shape": array.shape, "data": array.ravel().tolist()}
            for name, (datatype, array) in inputs.items()
        ]
        _post(self._served, f"/v2/models/{model}/infer", {"inputs": tensors, "parameters": parameters or {}})

    @staticmethod
    def _ask_over_grpc(client: triton.InferenceServerClient, model: str, image: Any) -> None:
        tensor = triton.InferInput("image", image.shape, "UINT8")
        tensor.set_data_from_numpy(image)
        try:
            client.infer(model, [tensor])
        except triton.InferenceServerException:  # while it is unloaded
            return


def _post(served: Served, path: str, body: dict[str, Any]) -> int:
    connection = http.client.HTTPConnection(*served.address, timeout=30)
    try:
        connection.request("POST", path, json.dumps(body))
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
