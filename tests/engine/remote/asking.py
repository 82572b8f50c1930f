"""A remote model as the catalog makes it, and a client that waits for its answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.config import parse_config
from service.engine.exchange import Exchange
from service.engine.remote.address import parse_remotes
from service.engine.remote.model import RemoteModel
from service.engine.remote.patience import RemotePatience
from service.engine.servable import Servable
from service.engine.source import EngineLimits, ModelSource
from service.errors import HoneError
from service.messages import InferRequest, InferResponse, Tensor
from service.metrics import ModelMetrics

REMOTE = 'parameters { key: "hone.remote" value { string_value: "east" } }\n'
QUICK = RemotePatience(load=5.0, probe=5.0, between_probes=0.05, first_pause=0.02, longest_pause=0.1)
CALM = RemotePatience(load=5.0, probe=5.0, between_probes=60.0, first_pause=60.0, longest_pause=60.0)


class Client:
    """A Receiver that can be waited for."""

    def __init__(self) -> None:
        self.outputs: dict[str, Tensor] = {}
        self.id = ""
        self.endings: list[HoneError | None] = []
        self._ended = asyncio.Event()

    def emit(self, response: InferResponse) -> None:
        self.outputs = {tensor.name: tensor for tensor in response.outputs}
        self.id = response.id

    def finish(self, error: HoneError | None) -> None:
        self.endings.append(error)
        self._ended.set()

    async def ending(self) -> HoneError | None:
        """How it ended; None for well."""
        await asyncio.wait_for(self._ended.wait(), 10)
        return self.endings[0]


def send(model: Servable, *arrays: NDArray[Any], datatype: str = "FP32", **fields: Any) -> tuple[Client, Exchange]:
    """Submit a request with inputs "x", "x2" ..."""
    names = ["x", "x2", "x3"]
    inputs = tuple(
        Tensor(name=name, datatype=datatype, array=array) for name, array in zip(names, arrays, strict=False)
    )
    client = Client()
    return client, model.submit(InferRequest(model="m", version=None, inputs=inputs, **fields), client)


async def ask(model: Servable, *arrays: NDArray[Any], **fields: Any) -> Client:
    """Submit a request and wait for its end, which is raised unless it is good."""
    client, _ = send(model, *arrays, **fields)
    if error := await client.ending():
        raise error
    return client


def remote_model(
    address: str | None, config: str = "", *, patience: RemotePatience = CALM, limits: EngineLimits | None = None
) -> RemoteModel:
    """Model "m" of the remote at this address, not loaded yet; without an address nobody has named the remote."""
    source = ModelSource(
        name="m",
        version="1",
        path="",
        size_bytes=0,
        sha256="",
        config=parse_config(REMOTE + config, name="m"),
        card=None,
    )
    remotes = parse_remotes([f"east={address}"] if address else [])
    return RemoteModel(source, ModelMetrics(), replace(limits or EngineLimits(), remotes=remotes), patience)


@asynccontextmanager
async def loaded(address: str, config: str = "", **options: Any) -> AsyncIterator[RemoteModel]:
    """That model, loaded, for the time of a block."""
    model = remote_model(address, config, **options)
    try:
        await model.load()
        yield model
    finally:
        await model.stop()


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def same(left: NDArray[Any], right: NDArray[Any]) -> bool:
    """Whether both hold the same bits; NaN is like itself."""
    alike = left.shape == right.shape and left.dtype == right.dtype
    return alike and (
        left.tolist() == right.tolist() if left.dtype == np.object_ else left.tobytes() == right.tobytes()
    )
