"""What KServe's clients make of a server, as JSON: `kserve_calls.py http://host:port host:port`.

It runs in an environment that has kserve and nothing of ours. The models are those of `test_kserve`.
"""

import asyncio
import json
import logging
import sys
from typing import Any

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)
TEXTS = np.array([["Grüße", ""]], dtype=np.object_)


def request(model: str, x: Any, datatype: str, *, binary: bool) -> InferRequest:
    """A request for `y`, with its id."""
    tensor = InferInput("x", list(x.shape), datatype)
    tensor.set_data_from_numpy(x, binary_data=binary)
    return InferRequest(model, [tensor], request_id="7")


def seen(answer: Any) -> dict[str, Any]:
    """An answer as what can be compared."""
    (output,) = answer.outputs
    values = [one.decode() if isinstance(one, bytes) else one for one in output.as_numpy().ravel().tolist()]
    return {"id": answer.id, "model": answer.model_name, "shape": list(output.shape), "values": values}


async def first_protocol(client: InferenceRESTClient, url: str) -> dict[str, Any]:
    """By rows, by columns, and what it says of a model that isn't there."""
    return {
        "live": await client.is_server_live(url),
        "ready": await client.is_model_ready(url, "rows"),
        "predictions": await client.infer(url, {"instances": ROWS.tolist()}, model_name="rows"),
        "outputs": await client.infer(url, {"inputs": {"x": ROWS.tolist()}}, model_name="rows"),
        "missing": await refused(client.infer(url, {"instances": ROWS.tolist()}, model_name="nope")),
        "wrong": await refused(client.infer(url, {"instances": [[1, 2]]}, model_name="rows")),
        "not ready": await refused(client.is_model_ready(url, "nope")),
    }


async def second_protocol(client: InferenceRESTClient, url: str) -> dict[str, Any]:
    """With binary tensors and with JSON, numbers and texts."""
    return {
        "live": await client.is_server_live(url),
        "ready": [await client.is_server_ready(url), await client.is_model_ready(url, "rows")],
        "not ready": await client.is_model_ready(url, "nope"),
        **{
            f"{model} {binary}": seen(await client.infer(url, request(model, x, kind, binary=binary), model_name=model))
            for model, x, kind in (("rows", ROWS, "FP32"), ("texts", TEXTS, "BYTES"))
            for binary in (True, False)
        },
        "missing": await refused(client.infer(url, request("nope", ROWS, "FP32", binary=True), model_name="nope")),
        "wrong": await refused(
            client.infer(url, request("rows", ROWS[:, :3], "FP32", binary=False), model_name="rows")
        ),
    }


async def over_grpc(client: InferenceGRPCClient) -> dict[str, Any]:
    """The same by gRPC, raw and typed contents."""
    return {
        "live": await client.is_server_live(),
        "ready": [await client.is_server_ready(), await client.is_model_ready("rows")],
        **{
            f"{model} {binary}": seen(await client.infer(request(model, x, kind, binary=binary)))
            for model, x, kind in (("rows", ROWS, "FP32"), ("texts", TEXTS, "BYTES"))
            for binary in (True, False)
        },
        "missing": await refused(client.infer(request("nope", ROWS, "FP32", binary=True))),
        "wrong": await refused(client.infer(request("rows", ROWS[:, :3], "FP32", binary=False))),
        "not ready": await client.is_model_ready("nope"),
    }


async def metadata(address: str) -> dict[str, Any]:
    """By KServe's own messages: its clients have no call for it."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = GRPCInferenceServiceStub(channel)
        server = await stub.ServerMetadata(messages.ServerMetadataRequest())
        model = await stub.ModelMetadata(messages.ModelMetadataRequest(name="rows"))
    tensors = [[one.name, one.datatype, list(one.shape)] for one in (*model.inputs, *model.outputs)]
    return {"server": server.name, "model": model.name, "versions": list(model.versions), "tensors": tensors}


async def refused(call: Any) -> str:
    """What the client raises, on one line."""
    try:
        return f"nothing, it answered {await call}"
    except httpx.HTTPStatusError as error:
        return str(error)
    except grpc.RpcError as error:
        return f"{error.code().name} {error.details()}"


async def main(url: str, address: str) -> dict[str, Any]:
    """All of it."""
    first, second = (InferenceRESTClient(RESTConfig(protocol=name, retries=0)) for name in ("v1", "v2"))
    async with InferenceGRPCClient(address, retries=0) as client:
        told = {
            "v1": await first_protocol(first, url),
            "v2": await second_protocol(second, url),
            "grpc": await over_grpc(client),
            "metadata": await metadata(address),
        }
    await first.close()
    await second.close()
    return told


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # what it is refused is what we ask for
    json.dump(asyncio.run(main(*sys.argv[1:])), sys.stdout)
