"""The RPCs by name, with how their messages are read and written."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import structlog
from google.protobuf import message_factory
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from service.errors import HoneError, InvalidRequest
from service.protocol.grpc.infer import InferDoor
from service.protocol.grpc.questions import Questions
from service.protocol.grpc.status import set_internal_error, set_status
from service.protocol.grpc.stream import StreamDoor
from service.telemetry.call import taken

SERVICE = "inference.GRPCInferenceService"
_METHODS = {method.name: method for method in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods}
_log = structlog.get_logger()


def handlers(door: InferDoor, streams: StreamDoor, questions: Questions) -> dict[str, grpc.RpcMethodHandler]:
    """All RPCs that are served. Messages come in wire form: one that can't be read is the client's mistake, which gRPC
    would log as a fault of the server's; those of inference the door takes apart itself.
    """
    table = {
        "ModelInfer": grpc.unary_unary_rpc_method_handler(door.infer),
        "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(streams.stream),
    }
    for name, method in _METHODS.items():
        answer = getattr(questions, name, None)
        if answer:
            table[name] = grpc.unary_unary_rpc_method_handler(
                _told(answer, *map(message_factory.GetMessageClass, (method.input_type, method.output_type))),
                response_serializer=_serialized,
            )
    return table


def _told(
    answer: Callable[[Any], Awaitable[Any]], asked: Any, empty: Callable[[], Any]
) -> Callable[..., Awaitable[Any]]:
    """The RPC that ends with what `answer` returns, or with the status of what it raises, for a message `asked`."""

    async def call(message: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await answer(read_message(asked, message))
        except HoneError as error:
            set_status(context, error)
        except Exception:
            _log.exception("can't answer a call", **taken())
            set_internal_error(context)
        return empty()

    return call


def read_message(kind: Any, message: bytes) -> Any:
    """A message of that kind. Raises InvalidRequest."""
    try:
        return kind.FromString(message)
    except DecodeError:
        name = kind.DESCRIPTOR.name
        raise InvalidRequest(f"the message isn't a {name}: it is cut off, or was garbled") from None


def _serialized(message: Any) -> bytes:
    text: bytes = message.SerializeToString()
    return text
