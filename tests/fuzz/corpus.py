"""Real requests, by code: what fuzzing begins with."""

import base64
import gzip
import json
import zlib
from pathlib import Path

import numpy as np
from tritonclient.grpc import service_pb2 as pb

from service.datatypes import NUMPY_DTYPES
from tests.artifact.test_config import WHOLE
from tests.artifact.test_ensemble_scheduling import ENDS, step
from tests.artifact.test_sequence_batching import FULL
from tests.contract.cases import CASES
from tests.contract.live_grpc import request
from tests.contract.raw import binary, document, infer, tensor
from tests.contract.test_grpc import CONTENTS

REGION = "fuzzed"
"""A region of shared memory that is registered."""
REGION_BYTES = 64
_PLACE = {"shared_memory_region": REGION, "shared_memory_byte_size": 16, "shared_memory_offset": 8}
_ROOT = Path(__file__).parents[2]


def infer_requests() -> tuple[bytes, ...]:
    """Requests to infer over HTTP: JSON, binary, raw, in shared memory; those of the contract among them."""
    shared = tensor(None, shape=[1, 4], parameters=_PLACE)
    arrays = [np.zeros((2, 3), dtype) for name, dtype in NUMPY_DTYPES.items() if name != "BYTES"]
    names = [name for name in NUMPY_DTYPES if name != "BYTES"]
    return (
        infer(shared),
        infer(shared, outputs=[{"name": "y", "parameters": _PLACE | {"shared_memory_offset": 32}}]),
        infer(tensor(), tensor(["a", "b"], name="t", datatype="BYTES"), id="7", parameters={"timeout": 5}),
        infer(outputs=[{"name": "y", "parameters": {"classification": 2}}]),
        binary(np.frombuffer(b"\1\0\0\0a\2\0\0\0bc", np.uint8), "BYTES"),
        *(binary(array, name) for array, name in zip(arrays, names, strict=True)),
        *(case.request for case in CASES if case.request.startswith(b"POST ") and b"infer HTTP" in case.request),
    )


def grpc_requests() -> tuple[bytes, ...]:
    """ModelInferRequests: raw, by their elements, in shared memory, and with all that may stand beside."""
    full = request("echo", raw=np.ones(4, np.float32).tobytes())
    full.id, full.model_version = "a\u00e4", "1"
    full.inputs.add(name="t", datatype="BYTES", shape=[2])
    full.raw_input_contents.append(b"\1\0\0\0a\0\0\0\0")
    full.parameters["timeout"].int64_param = 2_000_000
    full.parameters["priority"].uint64_param = 3
    full.parameters["share"].double_param = 0.5
    full.outputs.add(name="y").parameters["classification"].int64_param = 2
    shared = request(raw=None)
    for key, value in _PLACE.items():
        for parameters in (shared.inputs[0].parameters, shared.outputs.add(name=key).parameters):
            setattr(parameters[key], "string_param" if isinstance(value, str) else "int64_param", value)
    typed = [request("echo", datatype=datatype, shape=[1, 2], raw=None) for datatype, _, _ in CONTENTS]
    for message, (_, field, elements) in zip(typed, CONTENTS, strict=True):
        getattr(message.inputs[0].contents, field).extend(elements)
    plain = [request(datatype=name, raw=bytes(4 * dtype.itemsize)) for name, dtype in NUMPY_DTYPES.items()]
    return tuple(message.SerializeToString() for message in (full, shared, *typed, *plain))


def coded_bodies() -> tuple[bytes, ...]:
    """A line with the coding, then a body in it."""
    text, zeros = document(), bytes(1 << 20)
    bodies = (gzip.compress(text, mtime=0), gzip.compress(text[:9], mtime=0) + gzip.compress(text[9:], mtime=0))
    return (
        *(b"gzip\n" + body for body in (*bodies, gzip.compress(zeros, mtime=0))),
        *(b"deflate\n" + body for body in (zlib.compress(text), zlib.compress(text)[2:-4], zlib.compress(zeros))),
        b"br\n" + text,
    )


def predict_bodies() -> tuple[bytes, ...]:
    """The friendly protocol, by rows and by columns, of numbers, texts and bytes."""
    return tuple(
        json.dumps(content).encode()
        for content in (
            {"instances": [[1, 2, 3, 4], [5.5, 6, 7, 8]]},
            {"instances": [{"x": [1, 2, 3, 4]}], "signature_name": "serving_default"},
            {"inputs": [[float("nan"), 1, 2, float("-inf")]]},
            {"inputs": {"x": [[1, 2, 3, 4]]}},
            {"instances": ["a", "é", {"b64": "AAE="}]},
            {"inputs": ["a"]},
        )
    )


def generate_bodies() -> tuple[bytes, ...]:
    """Texts to be continued."""
    return tuple(
        json.dumps({"text_input": "Once"} | content).encode()
        for content in (
            {"id": "7", "parameters": {"max_tokens": 5, "temperature": 0.5, "seed": 7, "stop": ["\n", "."]}},
            {"max_tokens": 5, "top_k": 4, "top_p": 0.9, "stop_words": "end", "stream": True},
            {"parameters": {"timeout": 1000, "priority": 1}},
        )
    )


def load_bodies() -> tuple[bytes, ...]:
    """Loads, with a configuration, and with files."""
    config = json.dumps({"max_batch_size": 4})
    files = {"file:1/model.onnx": base64.b64encode(bytes(range(256))).decode(), "file:labels.txt": "YQpi"}
    return (
        b"{}",
        json.dumps({"parameters": {"config": config}}).encode(),
        json.dumps({"parameters": {"config": config} | files}).encode(),
        json.dumps({"parameters": {"config": config, "file:2/model.onnx": "A\\/8="}}).replace("\\\\", "\\").encode(),
    )


def settings_bodies() -> tuple[bytes, ...]:
    """Small objects: settings of logs and traces, regions of shared memory, unloads."""
    return tuple(
        json.dumps(content).encode()
        for content in (
            {"log_info": False, "log_verbose_level": 2, "log_format": "default", "log_file": ""},
            {"trace_level": ["OFF"], "trace_rate": "100", "trace_count": "-1", "log_frequency": "0", "trace_file": ""},
            {"trace_mode": "triton", "trace_rate": None},
            {"key": "/absent", "offset": 0, "byte_size": 16},
            {"parameters": {"unload_dependents": True}},
            {"ready": True},
        )
    )


def calls() -> tuple[bytes, ...]:
    """A line with the name of an RPC, then its message; of all but inference."""
    messages = {
        "ModelReady": pb.ModelReadyRequest(name="affine", version="1"),
        "ModelMetadata": pb.ModelMetadataRequest(name="affine"),
        "ModelConfig": pb.ModelConfigRequest(name="affine"),
        "ModelStatistics": pb.ModelStatisticsRequest(),
        "RepositoryIndex": pb.RepositoryIndexRequest(ready=True),
        "SystemSharedMemoryStatus": pb.SystemSharedMemoryStatusRequest(name=REGION),
        "SystemSharedMemoryRegister": pb.SystemSharedMemoryRegisterRequest(name="r", key="/absent", byte_size=16),
        "SystemSharedMemoryUnregister": pb.SystemSharedMemoryUnregisterRequest(name="r"),
        "CudaSharedMemoryRegister": pb.CudaSharedMemoryRegisterRequest(name="r", raw_handle=b"h", byte_size=16),
    }
    load, unload = (
        pb.RepositoryModelLoadRequest(model_name="affine"),
        pb.RepositoryModelUnloadRequest(model_name="affine"),
    )
    load.parameters["config"].string_param = json.dumps({"max_batch_size": 4})
    load.parameters["file:1/model.onnx"].bytes_param = b"model"
    unload.parameters["unload_dependents"].bool_param = True
    logs, traces = pb.LogSettingsRequest(), pb.TraceSettingRequest(model_name="affine")
    logs.settings["log_verbose_level"].uint32_param = 2
    logs.settings["log_info"].bool_param = False
    traces.settings["trace_rate"].value.append("100")
    more = {"RepositoryModelLoad": load, "RepositoryModelUnload": unload, "LogSettings": logs, "TraceSetting": traces}
    return tuple(f"{name}\n".encode() + one.SerializeToString() for name, one in (messages | more).items())


def configurations() -> tuple[bytes, ...]:
    """config.pbtxt: of the committed models, of an ensemble, of sequences, and one with nearly all that can be said."""
    ensemble = (
        f'platform: "ensemble" {ENDS} ensemble_scheduling {{ {step("a", "i=x", "o=t")} {step("b", "i=t", "o=y")} }}'
    )
    committed = (_ROOT / "models").glob("*/config.pbtxt")
    texts = [path.read_bytes().replace(path.parent.name.encode(), b"m") for path in sorted(committed)]
    return (WHOLE.encode(), FULL.encode(), ensemble.encode(), *texts)
