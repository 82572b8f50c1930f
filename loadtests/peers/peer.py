"""The peers: how each is started, where it listens, and which bodies it takes."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from loadtests.peers.assignment import Assignment
from loadtests.peers.environment import PeerError, pinned, prepare
from loadtests.request import Request, output_of
from loadtests.served import Served, ServerError, free_port, serving
from loadtests.workloads.workload import Wire, Workload

SERVERS = "loadtests.peers.servers"
NO_BINARY = "takes no binary body"


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """A server beside Hone.

    `command` are the words behind the environment's interpreter, for a port; `ready` answers 200 once it serves;
    `path` takes requests, with the model's name filled in. `takes` are the bodies that it can be given. `request` and
    `output` are for one that doesn't speak the Open Inference Protocol.
    """

    name: str
    ready: str
    path: str
    command: Callable[[int], Sequence[str]]
    takes: tuple[Wire, ...] = (Wire.JSON, Wire.BINARY)
    python: str = sys.executable
    request: Callable[[Workload, str], Request] | None = None
    output: Callable[[bytes], NDArray[np.float64]] = output_of

    def requests(self, workload: Workload) -> Request:
        """What it is sent: Hone's request wherever it takes that. Raises PeerError where it can't have the workload."""
        if workload.wire not in self.takes:
            raise PeerError(NO_BINARY)
        path = self.path.format(model=workload.model)
        return replace(workload.request(), path=path) if self.request is None else self.request(workload, path)

    def version(self) -> str:
        """The version that is installed."""
        return next(iter(pinned(self.name).values()))

    @contextmanager
    def serve(
        self, workload: Workload, model: Path, folder: Path, tally: Path, *, grpc: bool = False
    ) -> Iterator[Served]:
        """The server on `model` while the block runs, in its environment under `folder`. Raises PeerError.

        It counts its batches in the file `tally`. With `grpc` it opens that door too, if it has one.
        """
        python = prepare(self.name, folder, python=self.python)
        port, grpc_port = free_port(), free_port() if grpc else 0
        command = [str(python), *self.command(port)]
        environment = {**_clean(os.environ), **_assignment(workload, model, (port, grpc_port), tally).environment()}
        environment |= {"PATH": f"{python.parent}:{os.environ['PATH']}", "BENTOML_DO_NOT_TRACK": "true"}
        environment |= {"RAY_USAGE_STATS_ENABLED": "0"}
        try:
            with serving(command, port=port, ready=self.ready, environment=environment) as served:
                yield replace(served, grpc_port=grpc_port or None)
        except ServerError as error:
            raise PeerError(f"didn't start: {str(error).splitlines()[-1]}") from error


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(("HONE_", "VIRTUAL", "PYTHON"))}


def _assignment(workload: Workload, model: Path, ports: tuple[int, int], tally: Path) -> Assignment:
    return Assignment(
        file=str(model),
        model=workload.model,
        input_name=workload.input.name,
        datatype=workload.input.datatype,
        input_dims=workload.input.dims,
        output_name=workload.output.name,
        output_dims=workload.output.dims,
        binary=workload.wire is Wire.BINARY,
        threads=workload.threads,
        max_batch_size=workload.max_batch_size,
        port=ports[0],
        tally=str(tally),
        grpc_port=ports[1],
    )


def _module(name: str, *words: str) -> Callable[[int], Sequence[str]]:
    """A program of `servers/`, which reads its port from the assignment."""
    return lambda _: ("-m", f"{SERVERS}.{name}_server", *words)


def _rows(workload: Workload, path: str) -> Request:
    """BentoML's: the endpoint's only argument."""
    body = orjson.dumps({"rows": workload.sample().tolist()})
    return Request(path=path, body=body, headers={"Content-Type": "application/json"})


def _plain_output(answer: bytes) -> NDArray[np.float64]:
    found: Any = orjson.loads(answer)
    if not isinstance(found, list):
        raise ValueError(f"the server answered {answer[:200]!r}")  # noqa: TRY004 - it is the answer that is wrong
    return np.array(found, dtype=np.float64)


OIP = "/v2/models/{model}/infer"

PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            name="mosec",
            ready="/",
            path="/inference",
            command=lambda port: (
                *_module("mosec")(port),
                *("--address", "127.0.0.1", "--port", str(port), "--timeout", "60000"),
            ),
        ),
        Peer(name="litserve", ready="/health", path="/predict", command=_module("litserve"), takes=(Wire.JSON,)),
        Peer(name="mlserver", ready="/v2/health/ready", path=OIP, command=_module("mlserver"), takes=(Wire.JSON,)),
        Peer(
            name="bentoml",
            ready="/readyz",
            path="/infer",
            command=lambda port: (
                *("-m", "bentoml", "serve", f"{SERVERS}.bentoml_server:Model"),
                *("--host", "127.0.0.1", "--port", str(port), "--timeout", "60"),
            ),
            takes=(Wire.JSON,),
            request=_rows,
            output=_plain_output,
        ),
        Peer(name="kserve", ready="/v2/health/ready", path=OIP, command=_module("kserve")),
        Peer(name="ray", ready="/-/healthz", path="/infer", command=_module("ray")),
        Peer(name="fastapi", ready="/health", path="/infer", command=_module("fastapi")),
        # Its Python backend is built for the interpreter of a distribution, with the system's own libpython.
        Peer(
            name="pytriton",
            ready="/v2/health/ready",
            path=OIP,
            command=_module("pytriton"),
            python="/usr/bin/python3",
        ),
    )
}
