"""The real service, started on a repository for as long as figures are taken from it."""

import http.client
import os
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import tritonclient.http
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from training.child import ROOT, bound
from training.errors import ServingError, Unanswered, one_line
from training.session import Tensors
from training.timing import Request

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
CANT_BIND = 3
ATTEMPTS = 3


AT_ONCE = 32
"""Requests that may be under way together."""
COMPUTE, INDEPENDENT = "hone_compute_duration_seconds", "hone_model_batch_independent"


class Served:
    """A running service. Owns one connection to it."""

    def __init__(self, port: int, metrics_port: int) -> None:
        self._client = tritonclient.http.InferenceServerClient(
            f"{HOST}:{port}", network_timeout=60.0, concurrency=AT_ONCE
        )
        self._metrics_port = metrics_port

    def request(self, model: str, inputs: Tensors, parameters: Mapping[str, Any] | None = None) -> Request:
        """A request with `inputs` [N, ...] to `model`, made ready: each call sends it, in binary, and returns all
        outputs by their names, or raises Unanswered.
        """
        tensors = _tensors(inputs)

        def send() -> Tensors:
            with _answering(model):
                return _outputs(self._client.infer(model, tensors, parameters=parameters))

        return send

    def together(self, model: str, each: Sequence[Tensors], parameters: Mapping[str, Any] | None = None) -> Request:
        """At most 32 requests with the inputs of `each`, made ready: a call sends all of them before any is answered.

        It returns their outputs one after the other, or raises Unanswered.
        """
        tensors = [_tensors(one) for one in each]

        def send() -> Tensors:
            with _answering(model):
                under_way = [self._client.async_infer(model, one, parameters=parameters) for one in tensors]
                answers = [_outputs(one.get_result()) for one in under_way]
            return {name: np.concatenate([one[name] for one in answers]) for name in answers[0]}

        return send

    def compute_seconds(self, model: str) -> float:
        """How long the model's workers have been in the runtime so far, in total, as the service's metrics tell it.

        Raises ServingError if they don't.
        """
        return self._metric(COMPUTE, f"{COMPUTE}_sum", {"model": model, "phase": "infer"})

    def is_independent(self, model: str) -> bool:
        """False where the service computes each request to `model` alone, since batch-mates may change an answer.

        Raises ServingError if its metrics don't tell.
        """
        return self._metric(INDEPENDENT, INDEPENDENT, {"model": model}) == 1

    def is_ready(self, model: str) -> bool:
        """True when the service would answer for `model` now."""
        return bool(self._client.is_model_ready(model))

    def refusal(self, model: str) -> str:
        """Why the service doesn't answer for `model`, in its own words."""
        for one in self._client.get_model_repository_index():
            if one["name"] == model and one.get("reason"):
                return str(one["reason"])
        return "the service doesn't load it"

    def _metric(self, family: str, name: str, labels: Mapping[str, str]) -> float:
        """The value of the first sample `name` of a metric that has these labels. Raises ServingError without one."""
        text = _get(self._metrics_port, "/metrics")
        for metric in () if text is None else text_string_to_metric_families(text.decode()):
            for sample in metric.samples if metric.name == family else ():
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        raise ServingError(f"the service's metrics hold no {family} of {labels['model']}")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _tensors(inputs: Tensors) -> list[tritonclient.http.InferInput]:
    made = []
    for name, array in inputs.items():
        tensor = tritonclient.http.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        made.append(tensor.set_data_from_numpy(np.ascontiguousarray(array)))
    return made


def _outputs(answer: tritonclient.http.InferResult) -> Tensors:
    names = [output["name"] for output in answer.get_response()["outputs"]]
    return {name: answer.as_numpy(name) for name in names}


@contextmanager
def _answering(model: str) -> Iterator[None]:
    try:
        yield
    except InferenceServerException as error:
        raise Unanswered(model, one_line(error)) from error


@contextmanager
def serving(repository: Path, models: Sequence[str]) -> Iterator[Served]:
    """The service on `repository` while the block runs, `models` loaded. It listens on this machine only.

    Raises ServingError with the last lines of its output if it can't be had.
    """
    with ExitStack() as stack:
        log = stack.enter_context(tempfile.TemporaryFile("w+b"))
        served = Served(*_start(repository, log, stack))
        stack.callback(served.close)
        missing = [model for model in models if not served.is_ready(model)]
        if missing:
            raise ServingError(f"the service didn't load {', '.join(missing)}; it said:\n{_tail(log)}")
        yield served


def _start(repository: Path, log: IO[bytes], stack: ExitStack) -> tuple[int, int]:
    """Start the service and return its HTTP and metrics ports; tried again where somebody else took one in between."""
    for _ in range(ATTEMPTS):
        ports = _free_ports()
        name = f"measured-{secrets.token_hex(8)}"
        command = _command(repository, ports, name)
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,  # Ctrl-C is for who measures, and ends the service in its turn
        )
        stack.callback(_stop, process)
        if _wait_ready(process, ports[0], name):
            return ports
        if process.poll() != CANT_BIND:
            break
    raise ServingError(f"the service didn't become ready; it said:\n{_tail(log)}")


def _command(repository: Path, ports: tuple[int, int], name: str) -> Sequence[str]:
    http_port, metrics_port = (str(port) for port in ports)
    flags = {
        "--model-repository": str(repository.resolve()),
        "--host": HOST,
        "--http-port": http_port,
        "--metrics-port": metrics_port,
        "--server-name": name,
    }
    words = [word for pair in flags.items() for word in pair]
    return bound("service", "run", "--no-allow-grpc", *words)


def _environment() -> dict[str, str]:
    # Settings meant for the user's own server must not change what is measured.
    return {name: value for name, value in os.environ.items() if not name.startswith("HONE_")}


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind((HOST, 0))
        second.bind((HOST, 0))
        return first.getsockname()[1], second.getsockname()[1]


def _wait_ready(process: subprocess.Popen[bytes], port: int, name: str) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        # By its name, because another server may have taken the port meanwhile, and would be measured in its stead.
        if _get(port, "/v2/health/ready") is not None and name.encode() in (_get(port, "/v2") or b""):
            return True
        time.sleep(0.05)
    return False


def _get(port: int, path: str) -> bytes | None:
    """The body of a 200 answer; None for any other, and for none at all."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read() if answer.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: IO[bytes], lines: int = 15) -> str:
    log.seek(0)
    return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
