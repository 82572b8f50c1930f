"""How much of messages over gRPC is held at once, of all clients together."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from tests.contract.live import LIMITS, PATIENCE, eventually
from tests.contract.live_grpc import INFER, LiveGrpc, request, serve_grpc

MOST = 100_000
LARGE = 60_000


@pytest.fixture
def live() -> Iterator[LiveGrpc]:
    with serve_grpc(dataclasses.replace(LIMITS, max_held_bytes=MOST)) as served:
        yield served


def large(model: str, nbytes: int = LARGE) -> pb.ModelInferRequest:
    return request(model, raw=bytes(nbytes), shape=[1, nbytes // 4])


def begun(live: LiveGrpc, message: pb.ModelInferRequest) -> Any:
    """A call that is under way."""
    before = len(live.engine.waiting)
    call = live.channel.unary_unary(INFER).future(message.SerializeToString(), timeout=PATIENCE)
    eventually(lambda: len(live.engine.waiting) > before)
    return call


def code(live: LiveGrpc, message: pb.ModelInferRequest) -> grpc.StatusCode:
    """How the call ends."""
    try:
        live.call(message.SerializeToString())
    except grpc.RpcError as error:
        found: grpc.StatusCode = error.code()
        return found
    return grpc.StatusCode.OK


def served(live: LiveGrpc, message: pb.ModelInferRequest) -> bool:
    """Whether there was room, and an answer."""
    found = code(live, message)
    assert found in (grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED)
    return found is grpc.StatusCode.OK


def test_what_is_too_much_at_once_is_refused(live: LiveGrpc) -> None:
    """By code, reason and text; a small one has room, and the large one has when the other is gone."""
    call = begun(live, large("never"))
    with pytest.raises(grpc.RpcError) as caught:
        live.call(large("echo").SerializeToString())

    assert grpc.StatusCode.RESOURCE_EXHAUSTED is caught.value.code()
    assert f"at most {MOST} may be: send fewer" in caught.value.details()
    assert "quota" == dict(caught.value.trailing_metadata())["hone-reason"]
    assert ("echo", None, "quota") == live.engine.refused[-1]
    assert served(live, request("affine"))
    call.cancel()
    eventually(lambda: served(live, large("echo")))


@pytest.mark.parametrize("model", ["failing", "nobody", "echo"])
def test_whatever_becomes_of_it_it_is_let_go(live: LiveGrpc, model: str) -> None:
    """Also where it is refused later: one after the other they all have room."""
    for _ in range(5):
        assert grpc.StatusCode.RESOURCE_EXHAUSTED is not code(live, large(model))
    assert served(live, large("echo"))


def test_alone_a_message_may_be_larger(live: LiveGrpc) -> None:
    """Up to what any may have."""
    assert served(live, large("echo", 2 * MOST))
    call = begun(live, large("never", 2 * MOST))
    assert not served(live, request("affine"))
    call.cancel()


def test_requests_of_streams_count_too(live: LiveGrpc) -> None:
    """They are refused one by one, and are let go when they are answered or the stream ends."""
    asked = [large("slow"), large("echo"), request("affine")]
    refused: list[str] = []
    fine: list[str] = []
    for answer in live.stub.ModelStreamInfer(iter(asked)):
        (refused if answer.error_message else fine).append(answer.infer_response.model_name or answer.error_message)

    assert ["slow", "affine"] == fine
    assert 1 == len(refused)
    assert "send fewer" in refused[0]
    assert served(live, large("echo"))
    stream = live.stub.ModelStreamInfer(iter([large("never")]), timeout=PATIENCE)
    eventually(lambda: bool(live.engine.waiting))
    assert not served(live, large("echo"))
    stream.cancel()
    eventually(lambda: served(live, large("echo")))
