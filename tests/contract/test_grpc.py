"""The gRPC door, by NVIDIA's client and by messages made by hand."""

from collections.abc import Iterator
from typing import Any

import grpc
import ml_dtypes
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from numpy.typing import NDArray
from tritonclient import grpc as triton
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException

from tests.contract.live import LIMITS, PATIENCE, eventually
from tests.contract.live_grpc import LiveGrpc, request, serve_grpc
from tests.contract.test_tritonclient import ARRAYS

CONTENTS: list[tuple[str, str, list[Any]]] = [
    ("BOOL", "bool_contents", [True, False]),
    ("UINT8", "uint_contents", [0, 255]),
    ("UINT16", "uint_contents", [0, 65535]),
    ("UINT32", "uint_contents", [0, 2**32 - 1]),
    ("UINT64", "uint64_contents", [0, 2**64 - 1]),
    ("INT8", "int_contents", [-128, 127]),
    ("INT16", "int_contents", [-32768, 32767]),
    ("INT32", "int_contents", [-(2**31), 2**31 - 1]),
    ("INT64", "int64_contents", [-(2**63), 2**63 - 1]),
    ("FP32", "fp32_contents", [0.5, float("inf")]),
    ("FP64", "fp64_contents", [0.1, -1e300]),
    ("BYTES", "bytes_contents", [b"", b"\xff\x00"]),
]


@pytest.fixture(scope="module")
def live() -> Iterator[LiveGrpc]:
    """One server for all."""
    with serve_grpc() as served:
        yield served


@pytest.fixture(scope="module")
def client(live: LiveGrpc) -> Iterator[triton.InferenceServerClient]:
    """The stock client."""
    with triton.InferenceServerClient(f"127.0.0.1:{live.port}") as connected:
        yield connected


def refusal(live: LiveGrpc, message: pb.ModelInferRequest | bytes) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    """Code, text and trailing metadata of a request that is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        live.call(message if isinstance(message, bytes) else message.SerializeToString())
    error = caught.value
    return error.code(), error.details(), dict(error.trailing_metadata())


@pytest.mark.parametrize("datatype,array", [*ARRAYS, ("BF16", np.array([[0.5, -2]], ml_dtypes.bfloat16))])
def test_arrays_come_back(client: triton.InferenceServerClient, datatype: str, array: NDArray[Any]) -> None:
    """What a model echoes is what was sent, of every datatype and also where there is nothing in it."""
    tensor = triton.InferInput("x", list(array.shape), datatype)
    tensor.set_data_from_numpy(array)

    result = client.infer("echo", [tensor], request_id="7")

    answer = result.as_numpy("x")
    assert result.get_response().id == "7"
    assert result.get_response().outputs[0].datatype == datatype
    assert answer.shape == array.shape
    assert answer.tolist() == array.tolist()


@pytest.mark.parametrize("datatype,field,elements", CONTENTS)
def test_elements_and_raw_bytes_are_the_same(live: LiveGrpc, datatype: str, field: str, elements: list[Any]) -> None:
    """A tensor sent element by element is the one that its raw bytes are."""
    typed = request("echo", datatype=datatype, shape=[1, 2], raw=None)
    getattr(typed.inputs[0].contents, field).extend(elements)
    answer = live.call(typed.SerializeToString())
    raw = request("echo", datatype=datatype, shape=[1, 2], raw=answer.raw_output_contents[0])

    assert live.call(raw.SerializeToString()) == answer
    got = triton.InferResult(answer).as_numpy("x")
    assert got.ravel().tolist() == elements


def test_an_answer_says_who_gave_it(live: LiveGrpc) -> None:
    """Model, version, and the id of the request, which is left out where none was given."""
    named, nameless = request("affine", raw=np.ones(4, np.float32).tobytes()), request("affine")
    named.id, named.model_version = "a\u00e4", "1"
    answer = live.call(named.SerializeToString())

    assert ("affine", "1", "a\u00e4") == (answer.model_name, answer.model_version, answer.id)
    assert ("y", "FP32", [1, 4]) == (answer.outputs[0].name, answer.outputs[0].datatype, list(answer.outputs[0].shape))
    assert [3.0] * 4 == np.frombuffer(answer.raw_output_contents[0], np.float32).tolist()
    assert "" == live.call(nameless.SerializeToString()).id


def test_what_a_request_asks_for_reaches_the_engine(live: LiveGrpc) -> None:
    """Outputs, parameters, priority, and the tighter one of its timeout and the deadline of the call."""
    message = request("affine")
    message.outputs.add(name="y")
    message.parameters["timeout"].int64_param = 2_000_000
    message.parameters["priority"].uint64_param = 3
    message.parameters["note"].string_param = "n"
    message.parameters["share"].double_param = 0.5
    live.call(message.SerializeToString())
    asked = live.engine.requests[-1]

    assert (("y",), 3, "grpc") == (asked.outputs, asked.priority, asked.protocol)
    assert {"timeout": 2_000_000, "priority": 3, "note": "n", "share": 0.5} == asked.parameters
    assert 2.0 == asked.timeout
    live.stub.ModelInfer(request("affine"), timeout=5)
    remaining = live.engine.requests[-1].timeout
    assert remaining
    assert 4 < remaining < 5.5
    live.stub.ModelInfer(request("affine"))
    assert live.engine.requests[-1].timeout is None


@pytest.mark.parametrize(
    "model,code,reason",
    [
        ("nobody", "NOT_FOUND", "model_not_found"),
        ("loading", "UNAVAILABLE", "not_ready"),
        ("full", "UNAVAILABLE", "queue_full"),
        ("overloaded", "UNAVAILABLE", "deadline_infeasible"),
        ("wrong", "INVALID_ARGUMENT", "invalid_request"),
        ("failing", "INTERNAL", "backend_error"),
        ("late", "DEADLINE_EXCEEDED", "deadline_exceeded"),
        ("twice", "INTERNAL", "backend_error"),
        ("empty", "INTERNAL", "backend_error"),
    ],
)
def test_a_refusal_has_code_text_and_reason(live: LiveGrpc, model: str, code: str, reason: str) -> None:
    """As HTTP says it: the same words, and when to come again where that is of use."""
    found, text, trailers = refusal(live, request(model))

    assert code == found.name
    assert text
    assert reason == trailers["hone-reason"]
    assert ("retry-after" in trailers) is (code == "UNAVAILABLE")


@pytest.mark.parametrize(
    "message,text",
    [
        (b"\xff", "isn't a ModelInferRequest"),
        (b"\x0a\x80", "isn't a ModelInferRequest"),
        (b"\x0a\x05abc", "isn't a ModelInferRequest"),
        (b"\x0b\x0c", "isn't a ModelInferRequest"),
        (b"\x0a\x01\xff", "isn't a ModelInferRequest"),
        (b"\x3a\x00" * 2000, "more than 1024 fields"),
        (request(raw=None), "1 inputs and 0 raw_input_contents"),
        (request(raw=bytes(15)), r"needs 16 bytes, got 15"),
        (request(shape=[1, -4]), "negative dimension -4"),
        (request(shape=[2**40, 2**40]), "larger than any tensor"),
        (request(shape=[1] * 17), "at most 16"),
        (request(datatype="FP8"), 'unknown datatype "FP8"'),
        (request(datatype="BOOL", raw=b"\1\0\2\1"), "element 2 is the byte 2"),
        (request(datatype="BYTES", shape=[1], raw=b"\5\0\0\0abc"), "says 5 bytes, 3 are left"),
        (request(contents=pb.InferTensorContents(fp32_contents=[1] * 4)), "one or the other"),
        (request(raw=None, contents=pb.InferTensorContents(fp32_contents=[1] * 3)), "needs 4 elements"),
        (request(raw=None, contents=pb.InferTensorContents(int_contents=[1] * 4)), "not into int_contents"),
        (
            request(raw=None, datatype="INT8", contents=pb.InferTensorContents(int_contents=[1, 2, 3, 128])),
            "out of range for INT8",
        ),
        (
            request(raw=None, datatype="FP16", contents=pb.InferTensorContents(fp32_contents=[1] * 4)),
            "FP16 has no contents",
        ),
        (
            request(parameters={"shared_memory_region": pb.InferParameter(string_param="r")}),
            'input "x": shared_memory_byte_size is null',
        ),
    ],
)
def test_what_cannot_be_read_is_refused(live: LiveGrpc, message: pb.ModelInferRequest | bytes, text: str) -> None:
    """In a line that names the culprit; nothing reaches the engine, and the refusal is counted."""
    before, counted = len(live.engine.requests), len(live.engine.refused)
    code, said, trailers = refusal(live, message)

    assert text in said
    assert code.name in {"INVALID_ARGUMENT", "UNIMPLEMENTED"}
    assert trailers["hone-reason"] in {"invalid_request", "unsupported"}
    assert before == len(live.engine.requests)
    assert counted + 1 == len(live.engine.refused)


@pytest.mark.parametrize("call", ["ServerReady", "ModelConfig", "RepositoryModelLoad", "LogSettings"])
def test_a_message_of_any_other_call_that_cannot_be_read_is_refused(live: LiveGrpc, call: str) -> None:
    """As the client's mistake, by what it should have been."""
    with pytest.raises(grpc.RpcError) as caught:
        live.channel.unary_unary(f"/inference.GRPCInferenceService/{call}")(b"\x0a\x05abc", timeout=PATIENCE)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert f"isn't a {call}Request" in caught.value.details()


def test_a_call_that_is_not_there_is_refused(live: LiveGrpc) -> None:
    """As gRPC has it, of this service and of any other."""
    for path in ("/inference.GRPCInferenceService/Nothing", "/nobody/Nothing", "/"):
        with pytest.raises(grpc.RpcError) as caught:
            live.channel.unary_unary(path)(b"", timeout=PATIENCE)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "key,parameter,text",
    [
        ("timeout", pb.InferParameter(int64_param=-1), "parameter timeout is -1"),
        ("timeout", pb.InferParameter(string_param="soon"), 'parameter timeout is "soon"'),
        ("priority", pb.InferParameter(bool_param=True), "parameter priority is true"),
        ("sequence_id", pb.InferParameter(int64_param=-1), "parameter sequence_id is -1"),
        ("sequence_id", pb.InferParameter(double_param=1.5), "parameter sequence_id is 1.5"),
        ("triton_x", pb.InferParameter(int64_param=1), "the prefix triton_ is reserved"),
        ("empty", pb.InferParameter(), 'parameter "empty" has no value'),
    ],
)
def test_parameters_are_checked(live: LiveGrpc, key: str, parameter: pb.InferParameter, text: str) -> None:
    """By name, as in HTTP."""
    message = request()
    message.parameters[key].CopyFrom(parameter)

    assert text in refusal(live, message)[1]


def test_classes_are_asked_for(live: LiveGrpc) -> None:
    """By the parameter of an output, which is checked."""
    message = request()
    message.outputs.add(name="y").parameters["classification"].int64_param = 3
    live.call(message.SerializeToString())
    assert {"y": 3} == live.engine.requests[-1].classes

    message.outputs[0].parameters["shared_memory_region"].string_param = "r"
    message.outputs[0].parameters["shared_memory_byte_size"].int64_param = 64
    assert "classes can't be written to shared memory" in refusal(live, message)[1]

    message.outputs[0].parameters["classification"].int64_param = 0
    assert 'output "y": classification is 0' in refusal(live, message)[1]


def test_twins_are_refused(live: LiveGrpc) -> None:
    """Two inputs of a name, and an output that is asked for twice."""
    inputs = request()
    inputs.inputs.append(inputs.inputs[0])
    outputs = request()
    outputs.outputs.add(name="y")
    outputs.outputs.add(name="y")

    assert 'input "x" is given twice' in refusal(live, inputs)[1]
    assert 'output "y" is asked for twice' in refusal(live, outputs)[1]


def test_many_elements_are_to_be_sent_raw(live: LiveGrpc) -> None:
    """Numbers that aren't raw are bounded as JSON is; the same tensor is taken as raw bytes."""
    count = LIMITS.max_json_bytes // 4 + 1
    contents = pb.InferTensorContents(fp32_contents=[1.0] * count)
    code, text, _ = refusal(live, request("echo", raw=None, shape=[1, count], contents=contents))

    assert grpc.StatusCode.RESOURCE_EXHAUSTED is code
    assert "send the tensors as raw_input_contents" in text
    answer = live.call(request("echo", shape=[1, count], raw=bytes(4 * count)).SerializeToString())
    assert [1, count] == list(answer.outputs[0].shape)


def test_a_message_beyond_the_limit_is_refused(live: LiveGrpc) -> None:
    """gRPC refuses it by its size, before it is read."""
    size = LIMITS.max_binary_bytes + 2 * 1024 * 1024
    code, _, _ = refusal(live, request("echo", datatype="UINT8", shape=[1, size], raw=bytes(size)))

    assert grpc.StatusCode.RESOURCE_EXHAUSTED is code


def test_a_message_that_unpacks_beyond_the_limit_is_refused(live: LiveGrpc) -> None:
    """By what it comes to, not by what was sent; a compressed one within the limit is read."""
    size = LIMITS.max_binary_bytes * 100
    bomb = request("echo", datatype="UINT8", shape=[1, size], raw=bytes(size))
    with pytest.raises(grpc.RpcError) as caught:
        live.stub.ModelInfer(bomb, compression=grpc.Compression.Gzip)
    assert grpc.StatusCode.RESOURCE_EXHAUSTED is caught.value.code()

    answer = live.stub.ModelInfer(request("affine"), compression=grpc.Compression.Deflate)
    assert [1, 4] == list(answer.outputs[0].shape)


def test_a_call_that_is_cancelled_leaves_the_queue(live: LiveGrpc) -> None:
    """The engine hears of it at once."""
    before = live.engine.outcomes["cancelled"]
    call = live.stub.ModelInfer.future(request("never"))
    eventually(lambda: any(one.request.model == "never" for one in live.engine.waiting))
    call.cancel()

    eventually(lambda: live.engine.outcomes["cancelled"] == before + 1)
    assert not live.engine.waiting


def test_a_deadline_that_passes_is_counted_as_such(live: LiveGrpc) -> None:
    """By this header only the server knows of the deadline: the client waits for it to say that it is over."""
    before = live.engine.outcomes["deadline_exceeded"]
    with pytest.raises(grpc.RpcError) as caught:
        live.stub.ModelInfer(request("never"), metadata=(("grpc-timeout", "100m"),))

    assert grpc.StatusCode.DEADLINE_EXCEEDED is caught.value.code()
    eventually(lambda: live.engine.outcomes["deadline_exceeded"] == before + 1)


def test_the_server_is_described(client: triton.InferenceServerClient) -> None:
    """What the stock client asks of server and models."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("affine", "1")
    assert not client.is_model_ready("loading")
    assert not client.is_model_ready("nobody")
    server, model = client.get_server_metadata(), client.get_model_metadata("affine")
    assert ("hone", "0.0.1", ["binary_tensor_data", "parameters"]) == (
        server.name,
        server.version,
        list(server.extensions),
    )
    assert ("affine", ["1"], "onnxruntime_onnx") == (model.name, list(model.versions), model.platform)
    assert ("x", "FP32", [-1, 4]) == (model.inputs[0].name, model.inputs[0].datatype, list(model.inputs[0].shape))
    config = client.get_model_config("affine").config
    assert (8, [4]) == (config.max_batch_size, list(config.input[0].dims))
    with pytest.raises(InferenceServerException, match="no version"):
        client.get_model_metadata("affine", "9")


def test_the_client_loads_and_unloads(live: LiveGrpc, client: triton.InferenceServerClient) -> None:
    """Index, load and unload reach the engine; what isn't taken is refused by name."""
    client.load_model("affine")
    client.unload_model("echo", unload_dependents=True)
    index = client.get_model_repository_index().models

    assert "affine" == live.engine.loaded[-1]
    assert "echo" == live.engine.unloaded[-1]
    assert [("affine", "READY"), ("broken", "UNAVAILABLE")] == [(one.name, one.state) for one in index]
    ready = live.stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=True)).models
    assert ["affine"] == [one.name for one in ready]
    client.load_model("affine", config="{}", files={"file:1/model.onnx": b"\0\xff"})
    sent = live.engine.overrides[-1]
    assert sent
    assert ("{}", {"1/model.onnx": b"\0\xff"}) == (sent.config, sent.files)
    with pytest.raises(InferenceServerException, match=r'parameter "file:../m": expected'):
        client.load_model("affine", config="{}", files={"file:../m": b"m"})
    text = pb.RepositoryModelLoadRequest(model_name="affine")
    text.parameters["config"].string_param = "{}"
    text.parameters["file:1/m"].string_param = "AAAA"
    with pytest.raises(grpc.RpcError, match='parameter "file:1/m" must be bytes'):
        live.stub.RepositoryModelLoad(text)
    with pytest.raises(InferenceServerException, match="no such file"):
        client.load_model("failing")
    with pytest.raises(grpc.RpcError) as caught:
        live.stub.RepositoryIndex(pb.RepositoryIndexRequest(repository_name="other"))
    assert grpc.StatusCode.UNIMPLEMENTED is caught.value.code()


def test_health_tells_what_ready_does(live: LiveGrpc) -> None:
    """For the server and for the service by name; a watcher hears of a change."""
    stub = health_pb2_grpc.HealthStub(live.channel)
    ask = health_pb2.HealthCheckRequest
    assert 1 == stub.Check(ask()).status
    assert 1 == stub.Check(ask(service="inference.GRPCInferenceService")).status
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(ask(service="other"))
    assert grpc.StatusCode.NOT_FOUND is caught.value.code()

    watched = stub.Watch(ask(), timeout=10)
    try:
        assert 1 == next(watched).status
        live.engine.is_ready = False
        assert 2 == next(watched).status
        assert 2 == stub.Check(ask()).status
    finally:
        live.engine.is_ready = True
        watched.cancel()


def test_reflection_names_the_services(live: LiveGrpc) -> None:
    """So that grpcurl needs no proto file."""
    stub = reflection_pb2_grpc.ServerReflectionStub(live.channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = stub.ServerReflectionInfo(iter([asked]))
    names = {service.name for service in answer.list_services_response.service}

    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= names
    symbol = reflection_pb2.ServerReflectionRequest(file_containing_symbol="inference.GRPCInferenceService")
    (described,) = stub.ServerReflectionInfo(iter([symbol]))
    assert described.file_descriptor_response.file_descriptor_proto
