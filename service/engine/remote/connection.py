"""The connection to one model of one remote Triton server.

tritonclient's messages and stubs are used on a channel of our own: its client hides status codes and the state of the
connection, which decide what may be tried again, and converts BF16, which is to pass unchanged.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from service.artifact.signature import Signature, TensorSpec
from service.datatypes import DATATYPES
from service.engine.remote.address import RemoteAddress
from service.engine.remote.codec import decode, encode
from service.engine.remote.fault import Kind, RemoteFault
from service.engine.remote.wording import without_addresses
from service.errors import ArtifactError, BackendError, DeadlineExceeded, InvalidRequest, NotReady, WorkerLost
from service.messages import InferRequest, Tensor
from service.telemetry.span import Kind as SpanKind
from service.telemetry.span import Span
from service.telemetry.trace_context import Headers

CONNECT_SECONDS = 3.0
"""Longest time that one attempt to connect may take."""
CONFIRM_SECONDS = 1.0
"""Longest time for the question whether a connection is still there."""
_ENVELOPE_BYTES = 1024 * 1024
_INFER = "inference.GRPCInferenceService/ModelInfer"
_LARGEST_MESSAGE = 2**31 - 1
_CONNECTING = (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING)


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteDescription:
    """What a remote says of its model: full shapes, `max_batch_size`, whether it honours a request's timeout."""

    signature: Signature
    max_batch_size: int
    takes_timeouts: bool


class RemoteConnection:
    """Owns the channel to a remote server, for one of its models; `version` is empty for the remote's own choice.

    Every call raises RemoteFault when the remote doesn't answer it well within `seconds`.
    """

    def __init__(self, address: RemoteAddress, *, model: str, version: str, max_answer_bytes: int) -> None:
        self._model = model
        self._version = version
        self._takes_timeouts = False
        options = _options(max_answer_bytes)
        if address.tls:
            self._channel = grpc.aio.secure_channel(address.target, grpc.ssl_channel_credentials(), options)
        else:
            self._channel = grpc.aio.insecure_channel(address.target, options)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def ready(self, seconds: float) -> None:
        """Return if server and model are ready."""
        until = time.monotonic() + seconds
        server = await self._call(self._stub.ServerReady, service_pb2.ServerReadyRequest(), until)
        if not server.ready:
            raise RemoteFault(Kind.DECLINED, NotReady("the remote server isn't ready"))
        request = service_pb2.ModelReadyRequest(name=self._model, version=self._version)
        model = await self._call(self._stub.ModelReady, request, until)
        if not model.ready:
            raise RemoteFault(Kind.DECLINED, NotReady(f'model "{self._model}" isn\'t ready at the remote server'))

    async def describe(self, seconds: float) -> RemoteDescription:
        """What the remote says of its model, once it is ready. Raises ArtifactError if it can't be passed through."""
        until = time.monotonic() + seconds
        await self.ready(seconds)
        asked = service_pb2.ModelMetadataRequest(name=self._model, version=self._version)
        metadata = await self._call(self._stub.ModelMetadata, asked, until)
        question = service_pb2.ModelConfigRequest(name=self._model, version=self._version)
        config = (await self._call(self._stub.ModelConfig, question, until)).config
        for wrong, what in (
            (config.model_transaction_policy.decoupled, "is decoupled"),
            (config.HasField("sequence_batching"), "keeps sequences"),
        ):
            if wrong:
                raise ArtifactError(f"{self._model}: the remote's model {what}, which can't be passed through")
        self._takes_timeouts = _takes_timeouts(config)
        return RemoteDescription(
            signature=Signature(
                inputs=_specs(self._model, "input", metadata.inputs),
                outputs=_specs(self._model, "output", metadata.outputs),
            ),
            max_batch_size=config.max_batch_size,
            takes_timeouts=self._takes_timeouts,
        )

    async def infer(self, request: InferRequest, seconds: float) -> Mapping[str, Tensor]:
        """The outputs by name, each as the remote describes it; its arrays are read-only."""
        message = encode(request, model=self._model, version=self._version)
        if self._takes_timeouts:
            message.parameters["timeout"].int64_param = max(int(seconds * 1e6), 1)
        with _traced(request.trace) as headers:
            answer = await self._call(self._stub.ModelInfer, message, time.monotonic() + seconds, headers)
        try:
            return decode(answer)
        except ValueError as error:
            raise RemoteFault(Kind.REFUSED, BackendError(f"the remote's answer can't be read: {error}")) from error

    async def close(self) -> None:
        """End the connection, and whatever is under way on it."""
        await self._channel.close()

    async def _call(
        self, method: Callable[..., Awaitable[Any]], message: Any, until: float, headers: Headers = ()
    ) -> Any:
        try:
            if self._channel.get_state() is not grpc.ChannelConnectivity.READY:
                await asyncio.wait_for(self._connected(), until - time.monotonic())
            return await method(message, timeout=max(until - time.monotonic(), 0.0), metadata=headers or None)
        except TimeoutError:
            raise RemoteFault(Kind.LATE, DeadlineExceeded("the remote server was too slow")) from None
        except grpc.aio.AioRpcError as error:
            connected = error.code() is not grpc.StatusCode.UNAVAILABLE or await self._still_connected()
            raise _fault(error, connected=connected) from error

    async def _still_connected(self) -> bool:
        """Whether the connection has outlived a call that failed. Its state alone lags behind a remote that died.

        A balancer in between may have let us reconnect already: then a request that was lost passes for one that was
        declined, and may be sent again. That is harmless, since every request is a read (models that keep sequences
        are refused), and it is bounded: a request that ends its server meets no more servers than it has attempts.
        """
        try:
            await self._stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=CONFIRM_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    async def _connected(self) -> None:
        """Return once there is a connection, so that from here on a request may have been sent."""
        state = self._channel.get_state(try_to_connect=True)
        while state in _CONNECTING:
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)
        if state is not grpc.ChannelConnectivity.READY:
            raise RemoteFault(Kind.UNREACHED, NotReady("the remote server can't be reached"))


@contextmanager
def _traced(trace: Span | None) -> Iterator[Headers]:
    """A span of what the remote does for a traced request, and the metadata that let it go on from there."""
    if trace is None:
        yield ()
        return
    span = trace.child(_INFER, time.monotonic(), SpanKind.CLIENT)
    service, _, method = _INFER.rpartition("/")
    span.attributes |= {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
    error = ""
    try:
        yield span.context.headers()
    except RemoteFault as fault:
        error = fault.error.reason
        raise
    except asyncio.CancelledError:
        error = "cancelled"
        raise
    finally:
        span.finish(time.monotonic(), error)


def _options(max_answer_bytes: int) -> list[tuple[str, int]]:
    """Messages as large as our own bounds allow, and attempts to connect that follow each other quickly."""
    return [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", min(max_answer_bytes + _ENVELOPE_BYTES, _LARGEST_MESSAGE)),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", int(CONNECT_SECONDS * 1000)),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]


def _fault(error: grpc.aio.AioRpcError, *, connected: bool) -> RemoteFault:
    """What a failed call means. UNAVAILABLE is the remote's own word only where the connection is still there."""
    code, text = error.code(), without_addresses(error.details() or "no reason given")
    if code is grpc.StatusCode.UNAVAILABLE and not connected:
        return RemoteFault(Kind.LOST, WorkerLost("the connection to the remote server ended before its answer came"))
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND):
        return RemoteFault(Kind.DECLINED, NotReady(f"the remote server doesn't take the request: {text}"))
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return RemoteFault(Kind.LATE, DeadlineExceeded("the remote server was too slow"))
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return RemoteFault(Kind.REFUSED, InvalidRequest(f"the remote server refuses the request: {text}"))
    return RemoteFault(Kind.REFUSED, BackendError(f"the remote server failed: {text}"))


def _takes_timeouts(config: model_config_pb2.ModelConfig) -> bool:
    """Whether a request's `timeout` parameter has an effect: it can only shorten a timeout that a queue policy sets."""
    batching = config.dynamic_batching
    policies = [batching.default_queue_policy, *batching.priority_queue_policy.values()]
    return any(policy.allow_timeout_override and policy.default_timeout_microseconds for policy in policies)


def _specs(model: str, role: str, tensors: Any) -> tuple[TensorSpec, ...]:
    for tensor in tensors:
        if tensor.datatype not in DATATYPES:
            raise ArtifactError(f'{model}: {role} "{tensor.name}" of the remote\'s model has an unknown datatype')
    return tuple(TensorSpec(name=one.name, datatype=one.datatype, dims=tuple(one.shape)) for one in tensors)
