"""gRPC with the stubs of Triton's protocol, which include the Open Inference Protocol's."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from service.client.conformance.http_client import HttpClient, UnreachableError
from service.client.conformance.rpc_refusal import RpcRefused

_HEALTH = "/grpc.health.v1.Health/Check"
_SERVICE = "/inference.GRPCInferenceService/"
_MOST_ANSWERS = 64


class Rpc:
    """Owns the channel. Calls take the time that `http` has left for the check that is running."""

    def __init__(self, address: str, http: HttpClient) -> None:
        self.address = address
        self._http = http
        self._channel = grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)])
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def close(self) -> None:
        """End the channel."""
        self._channel.close()

    def reach(self, seconds: float) -> None:
        """Wait for the connection. Raises UnreachableError when there is none in that time."""
        try:
            grpc.channel_ready_future(self._channel).result(seconds)
        except grpc.FutureTimeoutError:
            raise UnreachableError(f"no gRPC server answers at {self.address}") from None

    def ask(self, method: str, **fields: Any) -> Any:
        """The answer to a call, by the names of its method and of the request's fields. Raises RpcRefused."""
        return self._called(getattr(self._stub, method), self._request(method, fields))

    def send(self, method: str, message: bytes) -> bytes:
        """The same with bytes for messages, whatever they are."""
        answer = self._called(self._channel.unary_unary(_SERVICE + method), message)
        return bytes(answer)

    def health(self) -> bytes:
        """What the health service says of the whole server, in wire form. Raises RpcRefused."""
        return bytes(self._called(self._channel.unary_unary(_HEALTH), b""))

    def stream(self, *requests: dict[str, Any]) -> list[Any]:
        """All answers of one stream of inference requests; the first ones, where there are very many."""
        messages: Iterator[Any] = iter([self._request("ModelInfer", fields) for fields in requests])
        call = self._stub.ModelStreamInfer(messages, timeout=self._http.remaining)
        try:
            return list(islice(call, _MOST_ANSWERS))
        except grpc.RpcError as error:
            raise _refused(error) from None
        finally:
            call.cancel()

    def _called(self, call: Any, message: Any) -> Any:
        try:
            return call(message, timeout=self._http.remaining)
        except grpc.RpcError as error:
            raise _refused(error) from None

    @staticmethod
    def _request(method: str, fields: dict[str, Any]) -> Any:
        return getattr(service_pb2, f"{method}Request")(**fields)


def _refused(error: Any) -> RpcRefused:
    return RpcRefused(error.code().name, error.details() or "")
