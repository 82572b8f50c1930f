"""Everything that reads a client's bytes, with what must hold of what it has read.

Decoders that keep what they have seen must read as those that have seen nothing; what was accepted must be the same
when it is written again and read again; and protobuf's own reading of a message is the measure of ours.
"""

import asyncio
import contextlib
import json
import secrets
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import message_factory
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as pb

from service.artifact.config import parse_config, parse_json_config
from service.errors import HoneError, InvalidRequest, TooLarge
from service.logs import LogControl
from service.messages import InferRequest, Tensor
from service.protocol.client_memory import ClientMemory
from service.protocol.grpc.infer_request import InferDecoder as GrpcDecoder
from service.protocol.grpc.questions import Questions
from service.protocol.grpc.wire import split
from service.protocol.http.compression import decompress
from service.protocol.http.generate_request import decode_generate
from service.protocol.http.head import Head, read_head
from service.protocol.http.infer_door import InferDoor
from service.protocol.http.infer_request import InferDecoder
from service.protocol.http.json_object import object_of
from service.protocol.http.load_body import read_load
from service.protocol.http.v1_request import PredictDecoder
from service.protocol.http.wanted import Wanted
from service.protocol.log_settings import change_log_settings
from service.protocol.parameters import unloads_dependents
from service.protocol.trace_settings import change_trace_settings
from service.repository.override import Override
from tests.contract.double_engine import DoubleEngine
from tests.fuzz import corpus
from tests.fuzz.mutation import END, bytes_changed, http_changed, json_changed, message_changed, words_changed
from tests.fuzz.target import LIMITS, Target
from tests.protocol.bodies import JSON_DATATYPES, binary_body, check_request, json_body, same

_METHODS = {method.name: method for method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods}
_ENGINE = DoubleEngine()
NAMES = ("infer", "grpc", "coding", "predict", "generate", "load", "settings", "calls", "config", "json-config")


@contextlib.contextmanager
def region() -> Iterator[ClientMemory]:
    """Client memory in which REGION is registered, as long as the block runs."""
    path = Path("/dev/shm") / f"hone-fuzz-{secrets.token_hex(6)}"
    path.write_bytes(bytes(corpus.REGION_BYTES))
    memory = ClientMemory(allowed=True)
    try:
        memory.register(corpus.REGION, f"/{path.name}", 0, corpus.REGION_BYTES)
        yield memory
    finally:
        memory.unregister(None)
        path.unlink()


def targets(memory: ClientMemory) -> dict[str, Target]:
    """All of them by name."""
    infer, grpc = _Infer(memory), _Grpc(memory)
    found = (
        Target(
            name="infer",
            change=http_changed,
            seeds=corpus.infer_requests(),
            decode=infer.decode,
            check=infer.check,
        ),
        Target(name="grpc", change=message_changed, seeds=corpus.grpc_requests(), decode=grpc.decode, check=grpc.check),
        Target(
            name="coding", change=bytes_changed, seeds=corpus.coded_bodies(), decode=_unpacked, check=_check_unpacked
        ),
        Target(
            name="predict", change=json_changed, seeds=corpus.predict_bodies(), decode=_predicted, check=_check_tensors
        ),
        Target(name="generate", change=json_changed, seeds=corpus.generate_bodies(), decode=_generated),
        Target(name="load", change=json_changed, seeds=corpus.load_bodies(), decode=_loaded, is_file=True),
        Target(name="settings", change=json_changed, seeds=corpus.settings_bodies(), decode=_set),
        Target(name="calls", change=_call_changed, seeds=corpus.calls(), decode=_called, is_file=True),
        Target(name="config", change=words_changed, seeds=corpus.configurations(), decode=_configured, is_file=True),
        Target(name="json-config", change=json_changed, seeds=_as_json(), decode=_configured_by_json, is_file=True),
    )
    assert NAMES == tuple(target.name for target in found)
    return {target.name: target for target in found}


class _Infer:
    """Requests to infer over HTTP: request line, headers, body."""

    def __init__(self, memory: ClientMemory) -> None:
        self._memory = memory
        self._door = InferDoor(_ENGINE, LIMITS, memory)
        self._warm = InferDecoder(_ENGINE, LIMITS, memory)

    def decode(self, sample: bytes) -> tuple[InferRequest, Wanted]:
        return self._read(InferDecoder(_ENGINE, LIMITS, self._memory), sample)

    def check(self, sample: bytes, found: tuple[InferRequest, Wanted] | HoneError) -> None:
        for _ in range(2):  # what the first leaves behind is there for the second
            again = _attempt(lambda: self._read(self._warm, sample))
            assert _told(found) == _told(again), f"{found!r}, and where others were read before {again!r}"
        if isinstance(found, tuple):
            check_request(*found)
            _check_written(found[0].inputs)

    def _read(self, decoder: InferDecoder, sample: bytes) -> tuple[InferRequest, Wanted]:
        first, *lines = sample.partition(END)[0].split(b"\r\n")
        route = self._door.route([*first.split(b" "), b""][1])
        if route is None:
            raise InvalidRequest("no path of an inference request")
        pairs = (line.partition(b":") for line in lines)
        head = read_head({name.lower(): value.strip() for name, _, value in pairs})
        return decoder.decode(*route, head, sample.partition(END)[2])


class _Grpc:
    """ModelInferRequests."""

    def __init__(self, memory: ClientMemory) -> None:
        self._memory = memory
        self._warm = GrpcDecoder(LIMITS, memory)

    def decode(self, sample: bytes) -> InferRequest:
        return self._read(GrpcDecoder(LIMITS, self._memory), sample)

    def check(self, sample: bytes, found: InferRequest | HoneError) -> None:
        for _ in range(2):
            again = _attempt(lambda: self._read(self._warm, sample))
            assert _told(found) == _told(again), f"{found!r}, and where others were read before {again!r}"
        if isinstance(found, HoneError):
            return
        theirs = pb.ModelInferRequest.FromString(sample)
        assert (theirs.model_name, theirs.id) == (found.model, found.id)
        assert [tensor.name for tensor in theirs.inputs] == [tensor.name for tensor in found.inputs]
        check_request(found, Wanted())
        _check_written(found.inputs)

    def _read(self, decoder: GrpcDecoder, sample: bytes) -> InferRequest:
        parts = split(sample, LIMITS.max_json_bytes)
        head = decoder.head(parts.head)
        decoder.targets(head)
        return decoder.request(head, parts, None)


def _attempt(read: Any) -> Any:
    try:
        return read()
    except HoneError as error:
        return error


def _told(found: Any) -> object:
    """What can be compared of a request, or of a refusal."""
    if isinstance(found, HoneError):
        return type(found), str(found)
    request, wanted = found if isinstance(found, tuple) else (found, None)
    tensors = [(one.name, one.datatype, one.array.shape, one.array.dtype, _content(one)) for one in request.inputs]
    rest = (request.model, request.version, request.outputs, request.classes, request.id, request.priority)
    return tensors, rest, repr(request.parameters), request.timeout, repr(wanted)


def _content(tensor: Tensor) -> object:
    return tensor.array.tolist() if tensor.datatype == "BYTES" else tensor.array.tobytes()


def _check_written(inputs: tuple[Tensor, ...]) -> None:
    """Written in binary they are the same to the bit, and in JSON too where JSON can hold them."""
    if not inputs:
        return
    length, body = binary_body(*inputs)
    _check_same(inputs, Head(json_length=length), body)
    if all(one.datatype in JSON_DATATYPES for one in inputs):
        with contextlib.suppress(UnicodeDecodeError):
            _check_same(inputs, Head(), json_body(*inputs))


def _check_same(inputs: tuple[Tensor, ...], head: Head, body: bytes) -> None:
    with contextlib.suppress(TooLarge):
        again, _ = InferDecoder(_ENGINE, LIMITS, ClientMemory(allowed=False)).decode("affine", None, head, body)
        assert all(same(one, other) for one, other in zip(inputs, again.inputs, strict=True))


def _unpacked(sample: bytes) -> bytes:
    coding, _, body = sample.partition(b"\n")
    return decompress(body, coding, LIMITS.max_binary_bytes, "more than {} bytes")


def _check_unpacked(sample: bytes, found: bytes | HoneError) -> None:
    """As much as zlib itself finds in the first member."""
    coding, _, body = sample.partition(b"\n")
    if isinstance(found, bytes) and body and coding == b"gzip":
        assert found.startswith(zlib.decompressobj(31).decompress(body))


def _predicted(sample: bytes) -> tuple[Tensor, ...]:
    return PredictDecoder(LIMITS).decode(sample, _ENGINE.metadata("echo" if b'"a"' in sample else "affine", None))[0]


def _check_tensors(_sample: bytes, found: tuple[Tensor, ...] | HoneError) -> None:
    if not isinstance(found, HoneError):
        check_request(InferRequest(model="m", version=None, inputs=found), Wanted())


def _generated(sample: bytes) -> InferRequest:
    model = _ENGINE.metadata("echo", None)
    texts = type(model.inputs[0])(name="text_input", datatype="BYTES", shape=(-1,))
    model = type(model)(name="echo", versions=("1",), platform="", inputs=(texts,), outputs=model.outputs)
    return decode_generate(sample, model, None, None, streams=False)


def _loaded(sample: bytes) -> Override | None:
    override = read_load(sample)
    if override is not None:
        parse_json_config(override.config, name="m", source="config")
    return override


def _set(sample: bytes) -> list[HoneError | None]:
    """By all that take such an object. Raises what the last of them does, so that what differs is told apart."""
    content = object_of(sample)
    memory = ClientMemory(allowed=True)
    readers = (
        lambda: change_trace_settings(DoubleEngine(), None, content),
        lambda: memory.register("r", str(content.get("key")), content.get("offset", 0), content.get("byte_size")),
        lambda: unloads_dependents(content),
        lambda: change_log_settings(LogControl(), content),
    )
    errors = [_attempt(reader) for reader in readers]
    refused = [error for error in errors if isinstance(error, HoneError)]
    if refused:
        raise refused[-1]
    return errors


def _call_changed(random: Any, sample: bytes, other: bytes) -> bytes:
    name, _, message = sample.partition(b"\n")
    return name + b"\n" + message_changed(random, message, other.partition(b"\n")[2])


def _called(sample: bytes) -> Any:
    name, _, message = sample.partition(b"\n")
    questions = Questions(DoubleEngine(), LogControl(), ClientMemory(allowed=True))
    method = _METHODS[name.decode()]
    try:
        request = message_factory.GetMessageClass(method.input_type).FromString(message)
    except DecodeError:
        raise InvalidRequest("no such message") from None
    return asyncio.run(getattr(questions, method.name)(request))


def _configured(sample: bytes) -> object:
    config = parse_config(sample.decode(errors="replace"), name="m")
    return config.to_json()


def _as_json() -> tuple[bytes, ...]:
    return tuple(json.dumps(_configured(text)).encode() for text in corpus.configurations())


def _configured_by_json(sample: bytes) -> object:
    return parse_json_config(sample.decode(errors="replace"), name="m", source="config").to_json()
