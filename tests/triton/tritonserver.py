"""A real tritonserver with its Python backend, as NVIDIA's package nvidia-pytriton carries it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from service.datatypes import DATATYPES

MODEL = Path(__file__).with_name("python_model.py")
_TRITON_NAMES = {"BYTES": "STRING"}
_START_SECONDS = 60


def find_package() -> Path:
    """Where the environment TRITON_VENV has the server. Raises RuntimeError where it hasn't."""
    environment = Path(os.environ.get("TRITON_VENV", "/nonexistent"))
    found = sorted(environment.glob("lib/python3*/site-packages/pytriton/tritonserver"))
    if not found:
        raise RuntimeError("there is no tritonserver here; `make test-triton` installs one and runs these tests")
    return found[0]


def write_repository(root: Path) -> None:
    """The models that the tests ask: `same_0` and `same_4` have an input and an output of each datatype."""
    kinds = [(datatype, f"TYPE_{_TRITON_NAMES.get(datatype, datatype)}") for datatype in DATATYPES]
    for rows in (0, 4):
        dims = "[ 3 ]" if rows else "[ -1, 3 ]"
        inputs = [f'input {{ name: "x_{datatype}" data_type: {kind} dims: {dims} }}' for datatype, kind in kinds]
        outputs = [f'output {{ name: "y_{datatype}" data_type: {kind} dims: {dims} }}' for datatype, kind in kinds]
        _write(root, f"same_{rows}", "same", f"max_batch_size: {rows}", *inputs, *outputs)
    plain = [
        "max_batch_size: 8",
        'input { name: "x" data_type: TYPE_FP32 dims: [ 3 ] }',
        'output { name: "y" data_type: TYPE_FP32 dims: [ 3 ] }',
    ]
    policy = "max_queue_size: 1 default_timeout_microseconds: 60000000 allow_timeout_override: true"
    narrow = f"dynamic_batching {{ preferred_batch_size: 1 default_queue_policy {{ {policy} }} }}"
    _write(root, "sleep", "sleep", *plain)
    _write(root, "fail", "fail", *plain)
    _write(root, "narrow", "sleep", *plain, narrow)


def _write(root: Path, name: str, does: str, *lines: str) -> None:
    version = root / name / "1"
    version.mkdir(parents=True)
    shutil.copy(MODEL, version / "model.py")
    parameter = f'parameters {{ key: "does" value {{ string_value: "{does}" }} }}'
    (version.parent / "config.pbtxt").write_text("\n".join(['backend: "python"', *lines, parameter]))


class TritonServer:
    """Owns one server process on loopback, which can be ended and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._package = find_package().absolute()
        self.repository = folder / "repository"
        self._backends = folder / "backends"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free, socket.socket() as other:
            free.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
            self._http_port: int = other.getsockname()[1]
        backend = self._backends / "python"
        backend.mkdir(parents=True)
        stub = self._package / "python_backend_stubs" / self._version() / "triton_python_backend_stub"
        for file in [*(self._package / "backends" / "python").glob("*.*"), stub]:
            (backend / file.name).symlink_to(file)  # links: they find their libraries beside the real files

    @property
    def address(self) -> str:
        """Its gRPC port."""
        return f"127.0.0.1:{self.port}"

    @property
    def http(self) -> str:
        """The URL of its HTTP side."""
        return f"http://127.0.0.1:{self._http_port}"

    @property
    def running(self) -> bool:
        """Whether it was started and not ended since."""
        return self._process is not None

    def start(self) -> None:
        """Start it, and wait until all models are ready."""
        binary = self._package / "bin" / "tritonserver"
        python = self._package.parents[4] / "bin"
        command = [str(binary), "--model-repository", str(self.repository), "--backend-directory", str(self._backends)]
        command += ["--grpc-address", "127.0.0.1", "--grpc-port", str(self.port)]
        command += ["--http-address", "127.0.0.1", "--http-port", str(self._http_port), "--allow-metrics", "false"]
        command += ["--model-control-mode", "explicit"]
        command += ["--load-model", "*", "--exit-timeout-secs", "5"]
        environment = {**os.environ, "PATH": f"{python}:{os.environ['PATH']}"}
        with (self._folder / "tritonserver.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        until = time.monotonic() + _START_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((self._folder / "tritonserver.log").read_text()[-4000:])
            time.sleep(0.1)

    def stop(self) -> None:
        """End it, at once and unasked."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(self._process.pid, signal.SIGKILL)  # with the processes of its Python models
            self._process.wait()
            self._process = None

    def unload(self, model: str) -> None:
        """Take a model out of service."""
        self._call("RepositoryModelUnload", service_pb2.RepositoryModelUnloadRequest(model_name=model))

    def load(self, model: str) -> None:
        """Put it back."""
        self._call("RepositoryModelLoad", service_pb2.RepositoryModelLoadRequest(model_name=model))

    def _ready(self) -> bool:
        try:
            return bool(self._call("ServerReady", service_pb2.ServerReadyRequest()).ready)
        except grpc.RpcError:
            return False

    def _call(self, method: str, message: Any) -> Any:
        with grpc.insecure_channel(self.address) as channel:
            return getattr(service_pb2_grpc.GRPCInferenceServiceStub(channel), method)(message, timeout=30)

    def _version(self) -> str:
        """The minor version of the environment's Python: the backend has a stub for each."""
        return self._package.parents[2].name.removeprefix("python")


@contextmanager
def tritonserver(folder: Path) -> Iterator[TritonServer]:
    """A server with the tests' models, for the time of a block."""
    server = TritonServer(folder)
    write_repository(server.repository)
    try:
        server.start()
        yield server
    finally:
        server.stop()
