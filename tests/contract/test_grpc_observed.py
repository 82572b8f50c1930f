"""What is told of calls over gRPC."""

from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2 as pb

from tests.contract.listener import Listener
from tests.contract.live import PATIENCE, eventually
from tests.contract.live_grpc import LiveGrpc, request, serve_grpc

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
METADATA = (("traceparent", f"00-{TRACE}-{CALLER}-01"), ("tracestate", "a=b"))
SERVICE = "inference.GRPCInferenceService"


@pytest.fixture(scope="module")
def observed() -> Iterator[tuple[LiveGrpc, Listener]]:
    listener = Listener()
    with serve_grpc(calls=listener.calls) as live:
        yield live, listener


@pytest.fixture
def live(observed: tuple[LiveGrpc, Listener]) -> LiveGrpc:
    return observed[0]


@pytest.fixture
def listener(observed: tuple[LiveGrpc, Listener]) -> Listener:
    observed[1].told.clear()
    return observed[1]


def test_a_call_says_what_was_asked_and_answered(live: LiveGrpc, listener: Listener) -> None:
    """Its bytes, its code, and the trace that its metadata name."""
    asked = request()
    answer = live.stub.ModelInfer(asked, timeout=PATIENCE, metadata=METADATA)
    call = listener.next(0)

    assert ("", f"{SERVICE}/ModelInfer", "OK") == (call.method, call.target, call.status)
    assert (asked.ByteSize(), answer.ByteSize()) == (call.received, call.sent)
    assert (TRACE, "a=b") == (call.trace, call.span.context.state if call.span else "")
    assert call.parent
    assert CALLER == f"{call.parent.span:016x}"


@pytest.mark.parametrize(
    "model,code",
    [("nobody", "NOT_FOUND"), ("full", "UNAVAILABLE"), ("wrong", "INVALID_ARGUMENT"), ("late", "DEADLINE_EXCEEDED")],
)
def test_refusals_are_told_of(model: str, code: str, live: LiveGrpc, listener: Listener) -> None:
    """By the name of their code."""
    with pytest.raises(grpc.RpcError):
        live.stub.ModelInfer(request(model), timeout=PATIENCE)
    assert code == listener.next(0).status


def test_a_call_that_is_given_up_is_told_of(live: LiveGrpc, listener: Listener) -> None:
    """As cancelled."""
    call = live.stub.ModelInfer.future(request("never"))
    eventually(lambda: live.engine.waiting)
    call.cancel()
    assert "CANCELLED" == listener.next(0).status


def test_each_message_of_a_stream_is_told_of_by_itself(live: LiveGrpc, listener: Listener) -> None:
    """In the trace of the call that it came on, each in a span of its own. Here those that are refused: of the others
    the engine says when they are done.
    """
    asked = [request("full"), request("nobody"), pb.ModelInferRequest(model_name="wrong", id="odd")]
    answers = list(live.stub.ModelStreamInfer(iter(asked), timeout=PATIENCE, metadata=METADATA))

    assert 3 == len(answers)
    expected = zip((one.ByteSize() for one in asked), ("UNAVAILABLE", "NOT_FOUND", "INVALID_ARGUMENT"), strict=True)
    assert list(expected) == [(call.received, call.status) for call in listener.told]
    assert {f"{SERVICE}/ModelStreamInfer"} == {call.target for call in listener.told}
    assert {TRACE} == {call.trace for call in listener.told}
    assert 3 == len({call.span.context.span for call in listener.told if call.span})


def test_other_calls_are_told_of_too(live: LiveGrpc, listener: Listener) -> None:
    """Questions about the server, and about its health."""
    live.stub.ServerLive(pb.ServerLiveRequest(), timeout=PATIENCE)
    health_pb2_grpc.HealthStub(live.channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
    eventually(lambda: len(listener.told) == 2)

    assert [(f"{SERVICE}/ServerLive", "OK"), ("grpc.health.v1.Health/Check", "OK")] == [
        (call.target, call.status) for call in listener.told
    ]
