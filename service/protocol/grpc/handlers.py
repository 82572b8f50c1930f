"""The RPCs as gRPC's server looks them up: by name, with how their messages are read and written."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import structlog
from google.protobuf import message_factory
from tritonclient.grpc import service_pb2

from service.errors import HoneError
from service.protocol.grpc.infer import InferDoor
from service.protocol.grpc.questions import Questions
from service.protocol.grpc.status import set_internal_error, set_status
from service.protocol.grpc.stream import StreamDoor

SERVICE = "inference.GRPCInferenceService"
_METHODS = {method.name: method for method in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods}
_log = structlog.get_logger()


def handlers(door: InferDoor, streams: StreamDoor, questions: Questions) -> grpc.GenericRpcHandler:
    """All RPCs that are served. The messages of inference stay in wire form: the door takes them apart itself."""
    table = {
        "ModelInfer": grpc.unary_unary_rpc_method_handler(door.infer),
        "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(streams.stream),
    }
    for name, method in _METHODS.items():
        answer = getattr(questions, name, None)
        if answer:
            table[name] = grpc.unary_unary_rpc_method_handler(
                _told(answer, message_factory.GetMessageClass(method.output_type)),
                request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
                response_serializer=_serialized,
            )
    return grpc.method_handlers_generic_handler(SERVICE, table)


def _told(answer: Callable[[Any], Awaitable[Any]], empty: Callable[[], Any]) -> Callable[..., Awaitable[Any]]:
    """The RPC that ends with what `answer` returns, or with the status of what it raises."""

    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await answer(request)
        except HoneError as error:
            set_status(context, error)
        except Exception:
            _log.exception("can't answer a call")
            set_internal_error(context)
        return empty()

    return call


def _serialized(message: Any) -> bytes:
    text: bytes = message.SerializeToString()
    return text
