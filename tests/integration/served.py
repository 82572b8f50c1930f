"""A real server in a process of its own, over a repository that the test wrote."""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.engine.ensemble.doubles import tensors

_CACHE = tempfile.TemporaryDirectory(prefix="hone-tests-")
CONFIG = """
backend: "onnxruntime"
max_batch_size: 16
input [ { name: "x" data_type: TYPE_FP32 dims: [ 64 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 10 ] } ]
dynamic_batching { }
"""


def mlp(seed: int = 0) -> bytes:
    """A two-layer perceptron, 64 -> 32 -> 10, with seeded random weights, as an ONNX file's bytes."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(64, 32)).astype(np.float32)
    second = rng.normal(size=(32, 10)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "first"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["active"]),
            helper.make_node("MatMul", ["active", "second"], ["y"]),
        ],
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    serialized: bytes = model.SerializeToString()
    return serialized


def reference(x: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """What `mlp` answers, computed by numpy."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(64, 32)).astype(np.float32)
    second = rng.normal(size=(32, 10)).astype(np.float32)
    answer: NDArray[np.float32] = np.maximum(x @ first, 0) @ second
    return answer


def write_model(
    root: Path, name: str, *, config: str | None = CONFIG, model: bytes | None = None, version: int = 1
) -> Path:
    """`<root>/<name>/<version>/model.onnx`, and a config.pbtxt unless `config` is None."""
    folder = root / name / str(version)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(mlp() if model is None else model)
    if config is not None:
        (root / name / "config.pbtxt").write_text(config)
    return folder


def write_ensemble(root: Path, name: str, *steps: str, inputs: str, outputs: str) -> None:
    """A folder with a config and nothing else; steps and tensors as `tests/engine/ensemble/doubles.py` writes them."""
    (root / name).mkdir()
    ends = f"{tensors('input', inputs)} {tensors('output', outputs)}"
    scheduling = f"ensemble_scheduling {{ {' '.join(steps)} }}"
    (root / name / "config.pbtxt").write_text(f'platform: "ensemble" max_batch_size: 16 {ends} {scheduling}')


@dataclass
class Served:
    """A running server: its addresses, its process, and what it logged."""

    process: subprocess.Popen[str]
    log: list[dict[str, Any]] = field(default_factory=list)
    lines: "queue.Queue[dict[str, Any]]" = field(default_factory=queue.Queue)
    http: str = ""
    grpc: str = ""
    metrics: str = ""
    reads: threading.Event = field(default_factory=threading.Event)
    """Cleared, nobody reads what it logs."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the HTTP door."""
        host, port = self.http.removeprefix("http://").split(":")
        return host, int(port)

    def workers(self) -> list[int]:
        """Process ids of its children that are alive."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def wait_for(self, event: str, seconds: float = 30) -> dict[str, Any]:
        """The next log line of this event."""
        until = time.monotonic() + seconds
        while True:
            line = self.lines.get(timeout=max(until - time.monotonic(), 0.01))
            if line.get("event") == event:
                return line

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


def start(repository: Path, *flags: str, wait: bool = True) -> Served:
    """Start a server on free ports; returns when it is ready."""
    command = [sys.executable, "-m", "service", "run", "--model-repository", str(repository)]
    ports = ["--http-port", "0", "--grpc-port", "0", "--metrics-port", "0", "--log-format", "json"]
    environment = _environment()
    process = subprocess.Popen(
        [*command, *ports, *flags], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment
    )
    served = Served(process)
    served.reads.set()
    threading.Thread(target=_read, args=(served,), daemon=True).start()
    if wait:
        try:
            ready = served.wait_for("ready", 120)  # seconds, of which an idle machine needs few
        except queue.Empty:
            process.kill()
            process.wait()
            raise RuntimeError(f"the server didn't get ready; it said {served.log}") from None
        served.http, served.metrics = ready["http"], ready["metrics"]
        served.grpc = ready.get("grpc", "").removeprefix("grpc://")
    return served


@contextmanager
def serving(repository: Path, *flags: str) -> Iterator[Served]:
    """A server for the time of a block."""
    served = start(repository, *flags)
    try:
        yield served
    finally:
        served.stop()


def metric(served: Served, name: str, **labels: str) -> float:
    """The sum of what the metrics say under this name, of those that have all `labels`."""
    with urllib.request.urlopen(f"{served.metrics}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if line.startswith(name) and all(one in line for one in wanted)
    )


def run_to_end(arguments: Sequence[str], **environment: str) -> tuple[int, str]:
    """Run `python -m service` until it ends by itself; its exit code and what it wrote to stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=_environment() | environment,
    )
    return done.returncode, done.stderr


def _environment() -> dict[str, str]:
    """That of the tests without what would set up a server; what it measures of models isn't kept for the user's."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HONE_")}
    return inherited | {"HONE_CACHE_DIR": _CACHE.name}


def _read(served: Served) -> None:
    assert served.process.stderr
    with served.process.stderr as stream:
        for text in stream:
            served.reads.wait()
            try:
                line = json.loads(text)
            except ValueError:
                line = {"event": "text", "text": text}
            served.log.append(line)
            served.lines.put(line)
