"""A fault of Hone's own at a door: the client is told no more than that, and it is counted as an error."""

import grpc
import pytest

from service.protocol.grpc.infer_request import InferDecoder
from tests.contract.live import Live, ask, body, status
from tests.contract.live_grpc import LiveGrpc, request, serve_grpc
from tests.contract.raw import infer, post


@pytest.mark.parametrize(
    "path, content",
    [
        ("/v1/models/faulty:predict", b'{"instances": [[1, 2, 3, 4]]}'),
        ("/v2/models/faulty/infer", infer().partition(b"\r\n\r\n")[2]),
    ],
)
def test_a_fault_is_counted_once(path: str, content: bytes, server: Live) -> None:
    """Through both entrances, and whatever protocol was spoken."""
    server.engine.refused.clear()
    answer = ask(server.port, post(path, content))

    assert 500 == status(answer)
    assert b'{"error":"internal error","reason":"error"}' == body(answer)
    assert [("faulty", None, "error")] == server.engine.refused


def stream_fault(live: LiveGrpc) -> str:
    """What a stream says of a request that meets a fault."""
    (answer,) = live.stub.ModelStreamInfer(iter([request("faulty")]))
    said: str = answer.error_message
    return said


def test_a_fault_is_counted_over_grpc() -> None:
    """Of a call, and of a message of a stream, which goes on."""
    with serve_grpc() as live:
        with pytest.raises(grpc.RpcError) as refused:
            live.stub.ModelInfer(request("faulty"))
        assert (grpc.StatusCode.INTERNAL, "internal error") == (refused.value.code(), refused.value.details())
        assert "internal error" == stream_fault(live)
        assert [("faulty", None, "error")] * 2 == live.engine.refused


def test_a_fault_before_the_model_is_known_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of no model."""
    monkeypatch.setattr(InferDecoder, "head", lambda *_: 1 / 0)
    with serve_grpc() as live:
        assert "internal error" == stream_fault(live)
        assert [("", None, "error")] == live.engine.refused
