"""The contract as a table: a request, and what every entrance answers, byte for byte the same."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.contract.raw import INFER, as_float, binary, chunked, document, get, infer, post, tensor

VERSIONED = "/v2/models/affine/versions/1/infer"
ANSWER: dict[str, object] = {
    "model_name": "affine",
    "model_version": "1",
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [3.0, 5.0]}],
}


@dataclass(frozen=True)
class Case:
    """`expected` is the whole JSON when it is a dict or list, else a part of the body's text."""

    name: str
    request: bytes
    status: int
    expected: object = ""
    reason: str = ""


def _output(datatype: str, data: list[object], shape: list[int] | None = None) -> dict[str, object]:
    shape = [1, len(data)] if shape is None else shape
    return ANSWER | {"outputs": [{"name": "y", "datatype": datatype, "shape": shape, "data": data}]}


GOOD = (
    Case("plain", infer(), 200, ANSWER),
    Case("version in the path", infer(path=VERSIONED), 200, ANSWER),
    Case("id comes back", infer(id="a-1"), 200, ANSWER | {"id": "a-1"}),
    Case("empty id is no id", infer(id=""), 200, ANSWER),
    Case("null id is no id", infer(id=None), 200, ANSWER),
    Case("nested data", infer(tensor([[1.0, 2.0]])), 200, ANSWER),
    Case("nested data of another rank of ones", infer(tensor([[[1.0], [2.0]]])), 200, ANSWER),
    Case("integers are numbers", infer(tensor([1, 2])), 200, ANSWER),
    Case("unknown keys are ignored", infer(tensor(extra={"a": [1]}), more=[{}]), 200, ANSWER),
    Case("parameters pass", infer(parameters={"sequence_id": 7, "speed": 1.5, "a": "b", "c": True}), 200, ANSWER),
    Case("no timeout", infer(parameters={"timeout": 0}), 200, ANSWER),
    Case("no timeout header", infer(headers=("X-Request-Timeout-Ms: 0",)), 200, ANSWER),
    Case("a priority", infer(parameters={"priority": 2}), 200, ANSWER),
    Case("timeout header", infer(headers=("X-Request-Timeout-Ms: 2500.5",)), 200, ANSWER),
    Case("any content type", infer(headers=("Content-Type: text/plain",)), 200, ANSWER),
    Case("identity is no encoding", infer(headers=("Content-Encoding: identity",)), 200, ANSWER),
    Case("an output asked for", infer(outputs=[{"name": "y"}]), 200, ANSWER),
    Case("spaces around JSON", post(INFER, b" \n" + document() + b"\r\n "), 200, ANSWER),
    Case("INT8", infer(tensor([-3, 4], datatype="INT8")), 200, _output("INT8", [-5, 9])),
    Case("UINT64", infer(tensor([2**62, 4], datatype="UINT64")), 200, _output("UINT64", [2**63 + 1, 9])),
    Case("INT64", infer(tensor([-(2**61), 4], datatype="INT64")), 200, _output("INT64", [-(2**62) + 1, 9])),
    Case("FP64", infer(tensor([0.1, 1e300], datatype="FP64")), 200, _output("FP64", [1.2, 2e300])),
    Case("BOOL", infer(tensor([True, False], datatype="BOOL")), 200, _output("BOOL", [False, True])),
    Case("BYTES", infer(tensor(["ä", 'q"\n'], datatype="BYTES")), 200, _output("BYTES", ["ä!", 'q"\n!'])),
    Case("scalar", infer(tensor([4.0], shape=[])), 200, _output("FP32", [9.0], [])),
    Case("no elements", infer(tensor([], shape=[0, 3])), 200, _output("FP32", [], [0, 3])),
    Case("no elements, nested", infer(tensor([[], []], shape=[2, 0])), 200, _output("FP32", [], [2, 0])),
    Case("shortest floats", infer(tensor([0.1, 1e-20])), 200, '"data":[1.2,1.0]'),
    Case("bare tokens", infer(tensor([float("nan"), float("inf")])), 200, '"data":[NaN,Infinity]'),
    Case("negative infinity", infer(tensor([float("-inf"), 1])), 200, '"data":[-Infinity,3.0]'),
    Case("null in a name is no NaN", infer(id="null"), 200, ANSWER | {"id": "null"}),
    Case("binary in, JSON out", binary(as_float(1, 2), "FP32"), 200, ANSWER),
    Case(
        "FP16 in and out", binary(np.array([[1, 2]], np.float16), "FP16", parameters={"binary_data_output": True}), 200
    ),
    Case(
        "BF16 in and out", binary(np.array([[1, 2]], np.uint16), "BF16", parameters={"binary_data_output": True}), 200
    ),
    Case(
        "binary out", infer(outputs=[{"name": "y", "parameters": {"binary_data": True}}]), 200, '"binary_data_size":8'
    ),
    Case("binary by default", infer(parameters={"binary_data_output": True}), 200, '"binary_data_size":8'),
    Case(
        "a listed output is JSON", infer(outputs=[{"name": "y"}], parameters={"binary_data_output": True}), 200, ANSWER
    ),
    Case("raw", post(INFER, as_float(1, 2, 3, 4).tobytes(), "Inference-Header-Content-Length: 0"), 200, "binary_data"),
    Case("raw BYTES", post("/v2/models/echo/infer", b"abc", "Inference-Header-Content-Length: 0"), 200, "abc"),
    Case("the largest JSON", post(INFER, document().ljust(65536)), 200, ANSWER),
    Case("HTTP/1.0", post(INFER, document(), version="1.0"), 200, ANSWER),
    Case("HTTP/1.0 that would stay", post(INFER, document(), "Connection: keep-alive", version="1.0"), 200, ANSWER),
    Case("last request", infer(headers=("Connection: close",)), 200, ANSWER),
    Case("last among others", infer(headers=("Connection: foo, Close",)), 200, ANSWER),
    Case("chunks", chunked(INFER, document()[:9], document()[9:]), 200, ANSWER),
    Case("chunks and a trailer", chunked(INFER, document(), trailer="X-Sum: 1\r\n"), 200, ANSWER),
    Case("query", infer(path=INFER + "?a=b"), 200, ANSWER),
    Case("escaped name", infer(path="/v2/models/%61ffine/infer"), 200, ANSWER),
    Case("absolute target", infer(path="http://test" + INFER), 200, ANSWER),
)


def _bad(name: str, expected: str, *inputs: object, **more: Any) -> Case:
    return Case(name, infer(*inputs, **more), 400, expected, "invalid_request")


def _length(value: str, body: bytes | None = None) -> bytes:
    return post(INFER, document() if body is None else body, f"Inference-Header-Content-Length: {value}")


BAD_TENSORS = (
    _bad("too few", 'input \\"x\\": shape [1, 2] needs 2 elements, data has 1', tensor([1.0])),
    _bad("too many", "needs 2 elements, data has 3", tensor([1.0, 2, 3])),
    _bad("too many, nested", "shape is [1, 2], data is nested as [1, 3]", tensor([[1.0, 2, 3]])),
    _bad("transposed", "shape is [2, 3], data is nested as [3, 2]", tensor([[1, 2], [3, 4], [5, 6]], shape=[2, 3])),
    _bad("ragged", "ragged", tensor([[1.0, 2], [3]], shape=[1, 3])),
    _bad("half nested", "ragged", tensor([[1.0], 2])),
    _bad("nested late", "element 1 is a list, FP32 takes a number", tensor([1.0, [2]])),
    _bad("deep", "nested deeper than 100", tensor(json.loads("[" * 200 + "1" + "]" * 200), shape=[1])),
    _bad("negative dimension", 'input \\"x\\": shape has the negative dimension -1', tensor(shape=[-1, 2])),
    _bad("overflow", "larger than any tensor can be", tensor(shape=[2**64, 2**64])),
    _bad("overflow with a zero", "larger than any tensor can be", tensor([], shape=[0, 2**62])),
    _bad("rank", "17 dimensions, at most 16", tensor([1.0], shape=[1] * 17)),
    _bad("fraction of a dimension", "$.inputs[0].shape[0]", tensor(shape=[1.0, 2])),
    _bad("unknown datatype", 'unknown datatype \\"FP8\\"', tensor(datatype="FP8")),
    _bad("FP16 in JSON", "FP16 can't be written in JSON, send it as binary data", tensor(datatype="FP16")),
    _bad("BF16 in JSON", "BF16 can't be written in JSON, send it as binary data", tensor(datatype="BF16")),
    _bad("float for an integer", "element 1 is 2.5, INT32 takes an integer", tensor([1, 2.5], datatype="INT32")),
    _bad("whole float for an integer", "element 0 is 1.0, INT8 takes an integer", tensor([1.0, 2], datatype="INT8")),
    _bad("out of range", "element 1 is 256, out of range for UINT8", tensor([1, 256], datatype="UINT8")),
    _bad("negative", "element 0 is -1, out of range for UINT64", tensor([-1, 2], datatype="UINT64")),
    _bad("beyond 64 bits", "out of range for INT64", tensor([1, 2**63], datatype="INT64")),
    _bad("beyond any number", "out of range", tensor([10**400, 1])),
    _bad("beyond FP32", "element 0 is 1e+39, out of range for FP32", tensor([1e39, 1])),
    _bad("true for a number", "element 0 is true, FP32 takes a number", tensor([True, 1])),
    _bad("true for an integer", "element 1 is true, INT64 takes an integer", tensor([1, True], datatype="INT64")),
    _bad("one for true", "element 0 is 1, BOOL takes true or false", tensor([1, 0], datatype="BOOL")),
    _bad("text for true", 'element 1 is \\"true\\", BOOL takes', tensor([True, "true"], datatype="BOOL")),
    _bad("null", "element 1 is null, FP32 takes a number", tensor([1, None])),
    _bad("text for a number", 'element 0 is \\"1\\", FP32 takes a number', tensor(["1", "2"])),
    _bad("number for text", "element 0 is 1, BYTES takes a string", tensor([1, 2], datatype="BYTES")),
    _bad("data is no list", "data must be a list", tensor(1.0)),
    _bad("no data", "neither data nor binary_data_size", tensor(None)),
    _bad("both", "both data and binary_data_size", tensor(parameters={"binary_data_size": 8})),
    _bad(
        "binary in JSON alone",
        "binary_data_size is 8 bytes, the body has 0",
        tensor(None, parameters={"binary_data_size": 8}),
    ),
    _bad("no byte count", "expected a byte count", tensor(None, parameters={"binary_data_size": -8})),
    _bad("true is no byte count", "expected a byte count", tensor(None, parameters={"binary_data_size": True})),
    _bad("twins", 'input \\"x\\" is given twice', tensor(), tensor()),
    _bad("many inputs", "65 inputs, at most 64", *(tensor(name=str(index)) for index in range(65))),
    _bad("name on two lines", "\\\\n", tensor([1.0], name="a\nb")),
    _bad("no name", "name", tensor(name=None)),
)
BAD_DOCUMENTS = (
    Case("empty", post(INFER, b""), 400, "the body is empty", "invalid_request"),
    Case("truncated", post(INFER, document()[:-9]), 400, "line 1 column", "invalid_request"),
    Case("truncated, with a bare token", post(INFER, b'{"inputs": [NaN'), 400, "line 1 column 16", "invalid_request"),
    Case("not JSON", post(INFER, b"\x00\xff"), 400, "malformed", "invalid_request"),
    Case("not an object", post(INFER, b"[1]"), 400, "Expected object, got array", "invalid_request"),
    Case("no inputs", post(INFER, b"{}"), 400, "inputs", "invalid_request"),
    Case(
        "inputs are no list",
        post(INFER, b'{"inputs": 1}'),
        400,
        "Expected array, got int - at $.inputs",
        "invalid_request",
    ),
    *[
        Case(
            f"a dimension that is {shape[:5]}, beside {beside[1].decode()}",
            post(INFER, document().replace(b'"shape": [1, 2]', b'"shape": [%s]' % shape.encode()).replace(*beside)),
            400,
            f'input \\"x\\": the JSON doesn\'t fit the protocol: {words} - at $.inputs[0].shape[0]',
            "invalid_request",
        )
        for shape, words, beside in (
            ("1" + "0" * 5000, "Integer value out of range", (b"1.0", b"1.0")),
            ("1e400", "Number out of range", (b"1.0", b"1.0")),
            ("1.5", "Expected int, got float", (b"1.0", b"NaN")),
        )
    ],
    Case("endless nesting", post(INFER, b'{"a":' + b"[" * 30000), 400, "nested too deeply", "invalid_request"),
    Case(
        "half a character", post(INFER, document().replace(b'"x"', b'"\\ud800"')), 400, "malformed", "invalid_request"
    ),
    Case(
        "half a character and a bare token",
        post(INFER, document(tensor([float("nan"), 1]), id="?").replace(b"?", b"\\ud800")),
        400,
        "malformed",
        "invalid_request",
    ),
    Case(
        "a number that is infinite by its digits, beside a bare token",
        post(INFER, document(tensor([float("nan"), 1])).replace(b"1.0", b"1").replace(b", 1]", b", 1e999]")),
        400,
        'the number \\"1e999\\" is too large',
        "invalid_request",
    ),
    Case("huge number", post(INFER, document(tensor([0.5, 1])).replace(b"0.5", b"9" * 5000)), 400, "out of range"),
    _bad("id is a number", "got int - at $.id", id=1),
    _bad("parameter is a list", 'parameter \\"a\\" must be a string, a number, true or false', parameters={"a": []}),
    _bad("parameter beyond 64 bits", 'parameter \\"a\\" is beyond 64 bits', parameters={"a": 2**64}),
    _bad("reserved parameter", "the prefix triton_ is reserved", parameters={"triton_a": 1}),
    _bad("negative timeout", "parameter timeout is -1", parameters={"timeout": -1}),
    *[
        _bad(f"a sequence of {said}", f"parameter sequence_id is {said}", parameters={"sequence_id": value})
        for value, said in ((-1, "-1"), (1.5, "1.5"), (False, "false"))
    ],
    _bad("sequence_start is a number", "sequence_start is 1, expected true", parameters={"sequence_start": 1}),
    _bad("timeout is text", 'parameter timeout is \\"5\\"', parameters={"timeout": "5"}),
    _bad("timeout is true", "parameter timeout is true", parameters={"timeout": True}),
    _bad("timeout without end", "parameter timeout is Infinity", parameters={"timeout": float("inf")}),
    _bad("negative priority", "parameter priority is -1, expected a level from 1 on", parameters={"priority": -1}),
    _bad("priority is text", 'parameter priority is \\"1\\"', parameters={"priority": "1"}),
    _bad("priority is true", "parameter priority is true", parameters={"priority": True}),
    _bad("fraction of a priority", "parameter priority is 1.5", parameters={"priority": 1.5}),
    _bad("timeout header is text", "X-Request-Timeout-Ms", headers=("X-Request-Timeout-Ms: soon",)),
    _bad("timeout header isn't decimal", "X-Request-Timeout-Ms", headers=("X-Request-Timeout-Ms: 1_000",)),
    _bad("timeout header is negative", "X-Request-Timeout-Ms", headers=("X-Request-Timeout-Ms: -5",)),
    _bad("timeout header is no number", "X-Request-Timeout-Ms", headers=("X-Request-Timeout-Ms: nan",)),
    _bad("br", 'Content-Encoding \\"br\\" isn\'t supported', headers=("Content-Encoding: br",)),
    _bad("twin outputs", 'output \\"y\\" is asked for twice', outputs=[{"name": "y"}, {"name": "y"}]),
    _bad("binary_data is a number", "binary_data must be", outputs=[{"name": "y", "parameters": {"binary_data": 1}}]),
    _bad("binary_data_output is text", "binary_data_output must be", parameters={"binary_data_output": "yes"}),
    _bad("many outputs", "65 outputs", outputs=[{"name": str(index)} for index in range(65)]),
)
BAD_BINARY = (
    Case("length is text", _length("ten"), 400, "Inference-Header-Content-Length is", "invalid_request"),
    Case("length is negative", _length("-1"), 400, "Inference-Header-Content-Length is", "invalid_request"),
    Case("length beyond the body", _length("9999"), 400, "is 9999, the body has", "invalid_request"),
    Case("length too short", _length("20"), 400, "malformed", "invalid_request"),
    Case(
        "left over", _length(str(len(document())), document() + b"abc"), 400, "3 bytes are left over", "invalid_request"
    ),
    Case("left over in JSON", post(INFER, document() + b"x"), 400, "malformed", "invalid_request"),
    Case("wrong byte count", binary(np.zeros((1, 3), np.int8), "FP32"), 400, "needs 12 bytes, got 3"),
    Case("byte that is no BOOL", binary(np.array([1, 7], np.uint8), "BOOL"), 400, "element 1 is the byte 7"),
    Case("cut BYTES", binary(np.array([9, 0, 0, 0], np.uint8), "BYTES"), 400, "4 elements need at least 16 bytes"),
    Case("BYTES beyond the end", binary(np.array([9], np.uint32), "BYTES"), 400, "says 9 bytes, 0 are left"),
    Case("FP16 wanted as JSON", binary(np.array([[1]], np.float16), "FP16"), 400, "FP16 can't be written in JSON"),
    Case("BYTES that are no text", binary(np.array([1, 255], "<u4").view("u1")[:5].copy(), "BYTES"), 400),
    Case("raw of a wrong size", post(INFER, b"12345", "Inference-Header-Content-Length: 0"), 400, "a multiple of 16"),
    Case("JSON part too large", _length("65537", b"{}".ljust(65540)), 413, "the JSON part has 65537", "too_large"),
)
REFUSED = (
    Case("unknown model", infer(path="/v2/models/nobody/infer"), 404, 'no model \\"nobody\\"', "model_not_found"),
    Case("unknown version", infer(path="/v2/models/affine/versions/9/infer"), 404, "version", "model_not_found"),
    Case("loading", infer(path="/v2/models/loading/infer"), 503, "loading", "not_ready"),
    Case(
        "hopeless",
        infer(path="/v2/models/overloaded/infer"),
        503,
        "and 250.0 ms are left; 64 rows are to be computed before",
        "deadline_infeasible",
    ),
    Case("queue full", infer(path="/v2/models/full/infer"), 503, "1024", "queue_full"),
    Case("refused by the engine", infer(path="/v2/models/wrong/infer"), 400, "takes INT8", "invalid_request"),
    Case("backend failed", infer(path="/v2/models/failing/infer"), 500, "the runtime", "backend_error"),
    Case("too late", infer(path="/v2/models/late/infer"), 504, "5 ms", "deadline_exceeded"),
    Case("two answers", infer(path="/v2/models/twice/infer"), 500, "more than one answer", "backend_error"),
    Case("no answer", infer(path="/v2/models/empty/infer"), 500, "internal error", "error"),
    *[
        Case(
            f"classification {count!r}",
            infer(outputs=[{"name": "y", "parameters": {"classification": count}}]),
            400,
            f'output \\"y\\": classification is {shown}',
        )
        for count, shown in ((0, "0"), (-1, "-1"), (True, "true"), (1.5, "1.5"), ("2", '\\"2\\"'))
    ],
    Case(
        "shared memory in",
        infer(tensor(None, parameters={"shared_memory_region": "a", "shared_memory_byte_size": 8})),
        400,
        'region \\"a\\" isn\'t registered',
    ),
    Case(
        "shared memory and data",
        infer(tensor(parameters={"shared_memory_region": "a", "shared_memory_byte_size": 8})),
        400,
        'input \\"x\\" lies in shared memory and has data besides',
    ),
    Case(
        "shared memory out",
        infer(outputs=[{"name": "y", "parameters": {"shared_memory_region": "a", "shared_memory_byte_size": 8}}]),
        400,
        'region \\"a\\" isn\'t registered',
    ),
    *[
        Case(f"shared memory, {shown}", infer(tensor(None, parameters=parameters)), 400, shown)
        for parameters, shown in (
            ({"shared_memory_region": 1}, "must be the name of a region"),
            ({"shared_memory_region": "a"}, "shared_memory_byte_size is null"),
            ({"shared_memory_region": "a", "shared_memory_byte_size": -1}, "shared_memory_byte_size is -1"),
            (
                {"shared_memory_region": "a", "shared_memory_byte_size": 1, "shared_memory_offset": 2**63},
                "is 9223372036854775808, expected a number of bytes from 0 to 9223372036854775807",
            ),
            (
                {"shared_memory_region": "a", "shared_memory_byte_size": 1, "shared_memory_offset": True},
                "shared_memory_offset is true",
            ),
        )
    ],
    Case("JSON too large", post(INFER, b"{}".ljust(65537)), 413, "send the tensors as binary data", "too_large"),
    Case("chunked JSON too large", chunked(INFER, b"{}".ljust(65537)), 413, "as binary data", "too_large"),
    Case(
        "JSON answer too large",
        binary(np.zeros((1, 16385), np.float32), "FP32"),
        413,
        'output \\"y\\" has 65540 bytes, the outputs in JSON may have 65536 together: ask for it as binary data',
        "too_large",
    ),
    Case("binary too large", _length("2", b"{}".ljust(262145)), 413, "limit of 262144 bytes", "too_large"),
)
ROUTES = (
    Case(
        "server",
        get("/v2"),
        200,
        {"name": "hone", "version": "0.0.1", "extensions": ["binary_tensor_data", "parameters"]},
    ),
    Case("server with a slash", get("/v2/"), 200, '"name":"hone"'),
    Case("live", get("/v2/health/live"), 200, {"live": True}),
    Case("ready", get("/v2/health/ready"), 200, {"ready": True}),
    Case("model", get("/v2/models/affine"), 200, '"versions":["1"],"platform":"onnxruntime_onnx"'),
    Case("model version", get("/v2/models/affine/versions/1"), 200, '"shape":[-1,4]'),
    Case("no model", get("/v2/models/nobody"), 404, "nobody", "model_not_found"),
    Case("model loading", get("/v2/models/loading"), 503, "loading", "not_ready"),
    Case("model ready", get("/v2/models/affine/ready"), 200),
    Case("version ready", get("/v2/models/affine/versions/1/ready"), 200),
    Case("model not ready", get("/v2/models/loading/ready"), 400),
    Case("no model is ready", get("/v2/models/nobody/ready"), 400),
    Case("config", get("/v2/models/affine/config"), 200, '"max_batch_size":8'),
    Case("version config", get("/v2/models/affine/versions/1/config"), 200, '"max_batch_size":8'),
    Case("index", post("/v2/repository/index", b""), 200, "model.onnx is missing"),
    Case(
        "index of what is ready",
        post("/v2/repository/index", b'{"ready": true}'),
        200,
        [{"name": "affine", "version": "1", "state": "READY", "reason": ""}],
    ),
    Case("index of something", post("/v2/repository/index", b'{"ready": 1}'), 400, "ready", "invalid_request"),
    Case("index, not JSON", post("/v2/repository/index", b"{"), 400, "malformed", "invalid_request"),
    Case("index too large", post("/v2/repository/index", b" " * 65537), 413, "65536", "too_large"),
    Case("unknown path", get("/v3"), 404, "/v3", "not_found"),
    Case("infer with a slash", infer(path=INFER + "/"), 404, "", "not_found"),
    Case("no version", infer(path="/v2/models/affine/versions//infer"), 404, "", "not_found"),
    Case("wrong method", get(INFER), 405, "use POST", "method_not_allowed"),
    Case("wrong method for a model", post("/v2/models/affine", b""), 405, "use GET", "method_not_allowed"),
    Case("predict by GET", get("/v1/models/affine:predict"), 405, "GET isn't allowed for", "method_not_allowed"),
    Case("delete", get(INFER, method="DELETE"), 405, "use POST", "method_not_allowed"),
)
CASES = (*GOOD, *BAD_TENSORS, *BAD_DOCUMENTS, *BAD_BINARY, *REFUSED, *ROUTES)
