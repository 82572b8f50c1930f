"""The gRPC side of `hone-serve conformance`, against a server of which it is known what is wrong with it."""

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2, service_pb2_grpc
from tritonclient.grpc import service_pb2 as pb

from service.client.conformance.check import Outcome
from service.client.conformance.discovery import Wanted, discover
from service.client.conformance.http_client import HttpClient
from service.client.conformance.rpc import Rpc
from service.client.conformance.suite import CHECKS, run
from tests.client.right_server import CONFIG, EXTENSIONS, METADATA, MODEL, serving

SECONDS = 5.0
Answer = Callable[[Any], Any]
Change = Callable[[Any, Answer], Any]
"""What is answered to a request, given it and how the right server answers."""
GRPC = [check for check in CHECKS if check.id.startswith("grpc.")]
BY_PROTOBUF = "grpc.infer.not-a-message"
"""No server of Python's grpc can be made to fail this one: its parser refuses."""
SERVING = b"\x08\x01"


class RefusedError(Exception):
    """A code and a text."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


def refuse_unless(condition: object, text: str, code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT) -> None:
    if not condition:
        raise RefusedError(code, text)


class Right:
    """The RPCs by their names, as functions from message to message."""

    def __init__(self) -> None:
        self.requests = 0

    def answer(self, method: str, request: Any) -> Any:
        answer: Any = getattr(self, method)(request)
        return answer

    def ServerLive(self, _request: Any) -> Any:  # noqa: N802
        return pb.ServerLiveResponse(live=True)

    def ServerReady(self, _request: Any) -> Any:  # noqa: N802
        return pb.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any) -> Any:  # noqa: N802
        return pb.ModelReadyResponse(ready=request.name == MODEL and request.version in {"", "1"})

    def ServerMetadata(self, _request: Any) -> Any:  # noqa: N802
        return pb.ServerMetadataResponse(name="right", version="1", extensions=EXTENSIONS)

    def ModelMetadata(self, request: Any) -> Any:  # noqa: N802
        _find(request.name, request.version)
        return pb.ModelMetadataResponse(**METADATA)

    def ModelConfig(self, request: Any) -> Any:  # noqa: N802
        _find(request.name, request.version)
        return pb.ModelConfigResponse(config=json_format.ParseDict(CONFIG, model_config_pb2.ModelConfig()))

    def ModelStatistics(self, request: Any) -> Any:  # noqa: N802
        _find(request.name, request.version)
        return pb.ModelStatisticsResponse(model_stats=[{"name": MODEL, "inference_stats": {"success": {"count": 1}}}])

    def RepositoryIndex(self, _request: Any) -> Any:  # noqa: N802
        return pb.RepositoryIndexResponse(models=[{"name": MODEL, "state": "READY"}])

    def ModelInfer(self, request: Any) -> Any:  # noqa: N802
        _find(request.model_name, request.model_version)
        raws = list(request.raw_input_contents)
        refuse_unless(not raws or len(raws) == len(request.inputs), "as many raw contents as inputs")
        refuse_unless(not raws or not any(one.HasField("contents") for one in request.inputs), "raw or typed")
        given = {one.name: _array(one, raws[index] if raws else None) for index, one in enumerate(request.inputs)}
        refuse_unless(given.keys() == {"x", "n"}, "inputs are x and n")
        found = {"y": ("FP32", 2 * given["x"] + given["n"].astype("<f4")), "m": ("INT64", given["n"] + 1)}
        wanted = [one.name for one in request.outputs] or ["y", "m"]
        refuse_unless(set(wanted) <= found.keys(), "outputs are y and m")
        if any("classification" in one.parameters for one in request.outputs):
            text = f"{found['y'][1].max()}:{found['y'][1].argmax()}".encode()
            output = {"name": "y", "datatype": "BYTES", "shape": [1, 1], "contents": {"bytes_contents": [text]}}
            return pb.ModelInferResponse(model_name=MODEL, outputs=[output])
        return pb.ModelInferResponse(
            model_name=MODEL,
            model_version="1",
            id=request.id,
            outputs=[{"name": one, "datatype": found[one][0], "shape": found[one][1].shape} for one in wanted],
            raw_output_contents=[found[one][1].tobytes() for one in wanted],
        )


@dataclass(frozen=True, kw_only=True)
class Planted:
    """`change` is what the server does in `method`; `found_by` are the ids of just those checks that fail."""

    method: str
    change: Change
    found_by: tuple[str, ...]


def _right(request: Any, right: Answer) -> Any:
    return right(request)


def _find(name: str, version: str) -> None:
    refuse_unless(name == MODEL and version in {"", "1"}, "no such model or version", grpc.StatusCode.NOT_FOUND)


def _array(one: Any, raw: bytes | None) -> Any:
    datatype = {"x": "FP32", "n": "INT64"}.get(one.name)
    refuse_unless(datatype == one.datatype, "no such input, or another datatype")
    shape, dtype = list(one.shape), np.dtype({"FP32": "<f4", "INT64": "<i8"}[one.datatype])
    refuse_unless(shape[1:] == [4] and shape[0] >= 0, f"shape {shape}")
    values = one.contents.fp32_contents if datatype == "FP32" else one.contents.int64_contents
    array = (
        np.array(values, dtype)
        if raw is None
        else np.frombuffer(raw[: len(raw) // 4 * 4 // dtype.itemsize * dtype.itemsize], dtype)
    )
    refuse_unless(array.size == shape[0] * 4 and (raw is None or len(raw) == array.nbytes), "size")
    return array.reshape(shape)


@contextmanager
def serving_grpc(planted: Planted | None = None) -> Iterator[str]:
    """The address of a server while the block runs."""
    right = Right()

    def answer(method: str, request: Any) -> Any:
        if planted and planted.method == method:
            return planted.change(request, lambda one: right.answer(method, one))
        return right.answer(method, request)

    def handler(method: str) -> Any:
        def unary(request: Any, context: Any) -> Any:
            try:
                return answer(method, request)
            except RefusedError as error:
                context.abort(error.code, str(error))

        return unary

    def stream(requests: Iterator[Any], _context: Any) -> Iterator[Any]:
        for request in requests:
            try:
                change = planted.change if planted and planted.method == "ModelStreamInfer" else _right
                yield pb.ModelStreamInferResponse(infer_response=change(request, right.ModelInfer))
            except RefusedError as error:
                if error.code is grpc.StatusCode.INTERNAL:
                    return
                yield pb.ModelStreamInferResponse(error_message=str(error), infer_response={"id": request.id})

    methods = [name for name in vars(Right) if name[0].isupper()]
    servicer = type("Servicer", (), {name: staticmethod(handler(name)) for name in methods})
    servicer.ModelStreamInfer = staticmethod(stream)  # type: ignore[attr-defined]
    for name in vars(service_pb2_grpc.GRPCInferenceServiceServicer):
        if name[0].isupper() and not hasattr(servicer, name):
            setattr(servicer, name, None)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer(), server)
    health = {
        "Check": grpc.unary_unary_rpc_method_handler(
            lambda *_: b"" if planted and planted.method == "Check" else SERVING
        )
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def failures(planted: Planted | None) -> dict[str, str]:
    """Ids and reasons of the gRPC checks that fail; the HTTP side is right."""
    with serving() as url, serving_grpc(planted) as address:
        http = HttpClient(url)
        rpc = Rpc(address, http)
        try:
            rpc.reach(SECONDS)
            report = run(GRPC, discover(http, rpc, Wanted(), SECONDS), SECONDS)
        finally:
            rpc.close()
    return {one.check.id: one.reason for one in report.results if one.outcome is not Outcome.PASSED}


def _changed(**fields: Any) -> Change:
    """The answer with other fields."""

    def change(request: Any, right: Answer) -> Any:
        answer = right(request)
        for name, value in fields.items():
            setattr(answer, name, value)
        return answer

    return change


def _mended(mend: Callable[[Any], None]) -> Change:
    """What is wrong with a request is put right before it is answered."""

    def change(request: Any, right: Answer) -> Any:
        mend(request)
        return right(request)

    return change


def _cut(request: Any) -> None:
    for index, one in enumerate(request.raw_input_contents[: len(request.inputs)]):
        size = abs(request.inputs[index].shape[0]) * 4 * (8 if request.inputs[index].datatype == "INT64" else 4)
        if len(one) == size + 1:
            request.raw_input_contents[index] = one[:-1]


def _without_contents(request: Any) -> None:
    if request.raw_input_contents:
        for one in request.inputs:
            one.ClearField("contents")


def _without_more(request: Any) -> None:
    if len(request.raw_input_contents) == len(request.inputs) + 1:
        del request.raw_input_contents[-1]


def _repeated(request: Any) -> None:
    if 0 < len(request.raw_input_contents) < len(request.inputs):
        request.raw_input_contents.append(bytes(32))


def _positive(request: Any) -> None:
    for one in request.inputs:
        one.shape[0] = abs(one.shape[0])


def _typed_only(request: Any, right: Answer) -> Any:
    answer = right(request)
    if answer.raw_output_contents and not request.raw_input_contents:
        answer.raw_output_contents[0] = answer.raw_output_contents[0][::-1]
    return answer


def _any_name(request: Any, right: Answer) -> Any:
    request.model_name = MODEL
    return right(request)


def _internal(request: Any, right: Answer) -> Any:
    try:
        return right(request)
    except RefusedError as error:
        raise RefusedError(grpc.StatusCode.INTERNAL, str(error)) from None


PLANTED = (
    Planted(method="ServerLive", change=_changed(live=False), found_by=("grpc.health.live",)),
    Planted(method="ServerReady", change=_changed(ready=False), found_by=("grpc.health.ready", "grpc.infer.unharmed")),
    Planted(method="ModelReady", change=_changed(ready=True), found_by=("grpc.health.unknown-model",)),
    Planted(method="ServerMetadata", change=_changed(version="2"), found_by=("grpc.metadata.server",)),
    Planted(method="ModelMetadata", change=_changed(platform="other"), found_by=("grpc.metadata.model",)),
    Planted(method="ModelMetadata", change=_internal, found_by=("grpc.metadata.not-found",)),
    Planted(
        method="RepositoryIndex",
        change=lambda *_: pb.RepositoryIndexResponse(models=[{"name": "other", "state": "READY"}]),
        found_by=("grpc.repository.index",),
    ),
    Planted(method="ModelInfer", change=_changed(id=""), found_by=("grpc.infer.id",)),
    Planted(method="ModelInfer", change=_changed(model_version="2"), found_by=("grpc.infer.version",)),
    Planted(method="ModelInfer", change=_mended(_cut), found_by=("grpc.infer.raw-size",)),
    Planted(method="ModelInfer", change=_mended(_without_contents), found_by=("grpc.infer.raw-and-typed",)),
    Planted(method="ModelInfer", change=_mended(_without_more), found_by=("grpc.infer.raw-left-over",)),
    Planted(method="ModelInfer", change=_mended(_repeated), found_by=("grpc.infer.raw-count",)),
    Planted(method="ModelInfer", change=_mended(_positive), found_by=("grpc.infer.negative-axis",)),
    Planted(method="ModelInfer", change=_typed_only, found_by=("grpc.infer.typed",)),
    Planted(method="ModelInfer", change=_any_name, found_by=("grpc.infer.unknown-model", "grpc.infer.not-found")),
    Planted(method="ModelInfer", change=_internal, found_by=("grpc.infer.not-found", "grpc.infer.invalid-argument")),
    Planted(method="ModelStreamInfer", change=_internal, found_by=("grpc.stream.errors",)),
    Planted(method="ModelStreamInfer", change=_changed(id="c"), found_by=("grpc.stream.answers", "grpc.stream.errors")),
    Planted(method="Check", change=_internal, found_by=("grpc.health.health-service",)),
)


def _taken(request: Any, right: Answer) -> Any:
    """Whatever is asked, it is answered like a request that is right."""
    try:
        return right(request)
    except RefusedError:
        inputs = [{"name": name, "datatype": kind, "shape": [1, 4]} for name, kind in (("x", "FP32"), ("n", "INT64"))]
        return right(pb.ModelInferRequest(model_name=MODEL, inputs=inputs, raw_input_contents=[bytes(16), bytes(32)]))


def _renamed(request: Any, right: Answer) -> Any:
    request.name, request.version = MODEL, ""
    return right(request)


def _nothing(_request: Any, _right: Answer) -> Any:
    raise RefusedError(grpc.StatusCode.INTERNAL, "no")


def test_no_check_passes_whatever_the_server_does() -> None:
    """Each fails at a server that takes every inference, at one that refuses a method, or where a fault is planted."""
    found = {name for planted in PLANTED for name in planted.found_by}
    found |= failures(Planted(method="ModelInfer", change=_taken, found_by=())).keys()
    found |= failures(Planted(method="ModelMetadata", change=_renamed, found_by=())).keys()
    for method in ("ModelInfer", "ModelConfig", "ModelReady", "ModelStatistics"):
        found |= failures(Planted(method=method, change=_nothing, found_by=())).keys()

    assert {BY_PROTOBUF} == {check.id for check in GRPC} - found


def test_a_right_server_passes() -> None:
    """Every check of gRPC applies to it."""
    assert {} == failures(None)


@pytest.mark.parametrize("planted", PLANTED, ids=[f"{one.method}-{one.found_by[0]}" for one in PLANTED])
def test_a_fault_is_found_where_it_is(planted: Planted) -> None:
    """Just the checks that are about it fail."""
    found = failures(planted)

    assert set(planted.found_by) == found.keys(), found
