"""ModelStreamInfer: many requests on one call."""

import queue
import sys
from collections.abc import Iterator
from typing import Any, cast

import grpc
import numpy as np
import pytest
from tritonclient import grpc as triton
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException

from tests.contract.live import PATIENCE, eventually
from tests.contract.live_grpc import LiveGrpc, request, serve_grpc


@pytest.fixture(scope="module")
def live() -> Iterator[LiveGrpc]:
    """One server for all."""
    with serve_grpc() as served:
        yield served


def named(model: str, name: str) -> pb.ModelInferRequest:
    message = request(model)
    message.id = name
    return message


class Feed:
    """Requests of a stream, sent when they are put."""

    def __init__(self, *messages: pb.ModelInferRequest) -> None:
        self._queue: queue.Queue[pb.ModelInferRequest | None] = queue.Queue()
        for message in messages:
            self.put(message)

    def put(self, message: pb.ModelInferRequest | None) -> None:
        """Send one, or with None no more."""
        self._queue.put(message)

    def __iter__(self) -> Iterator[pb.ModelInferRequest]:
        while (message := self._queue.get(timeout=PATIENCE)) is not None:
            yield message


def test_answers_come_in_the_order_of_the_requests(live: LiveGrpc) -> None:
    """Also where a later one was done sooner, and where there are more than are taken at once; each is the last."""
    models = ["slow", *["affine"] * 200]
    answers = list(live.stub.ModelStreamInfer(iter([named(model, str(i)) for i, model in enumerate(models)])))

    assert [str(i) for i in range(201)] == [answer.infer_response.id for answer in answers]
    assert models == [answer.infer_response.model_name for answer in answers]
    assert all(answer.infer_response.parameters["triton_final_response"].bool_param for answer in answers)
    assert not any(answer.error_message for answer in answers)


def test_a_refusal_does_not_end_the_stream(live: LiveGrpc) -> None:
    """It says why, and which request it was."""
    asked = [named("affine", "a"), named("failing", "b"), named("nobody", "c"), request(raw=b"1"), named("affine", "d")]
    answers = list(live.stub.ModelStreamInfer(iter(asked)))

    assert ["a", "b", "c", "", "d"] == [answer.infer_response.id for answer in answers]
    assert ["", "the runtime refused", "there is no model", "needs 16 bytes", ""] == [
        answer.error_message and next(text for text in TEXTS if text in answer.error_message) for answer in answers
    ]


TEXTS = ("the runtime refused", "there is no model", "needs 16 bytes")


def test_a_client_may_ask_for_the_status(live: LiveGrpc) -> None:
    """Then the first refusal ends the call, with its code and its reason."""
    asked = [named("affine", "a"), named("full", "b"), named("affine", "c")]
    answers = live.stub.ModelStreamInfer(iter(asked), metadata=[("triton_grpc_error", "true")])

    assert "a" == next(answers).infer_response.id
    with pytest.raises(grpc.RpcError) as caught:
        next(answers)
    assert grpc.StatusCode.UNAVAILABLE is caught.value.code()
    assert "queue_full" == dict(caught.value.trailing_metadata())["hone-reason"]


def test_a_stream_that_is_cancelled_takes_its_requests_along(live: LiveGrpc) -> None:
    """All that are under way leave the queue."""
    before = live.engine.outcomes["cancelled"]
    feed = Feed(named("never", "a"), named("never", "b"))
    call = live.stub.ModelStreamInfer(iter(feed))
    eventually(lambda: len([one for one in live.engine.waiting if one.request.model == "never"]) == 2)
    call.cancel()
    feed.put(None)

    eventually(lambda: live.engine.outcomes["cancelled"] == before + 2)


def test_one_who_sends_no_more_is_answered(live: LiveGrpc) -> None:
    """A stream that is half closed ends when the last answer is there; one without requests ends at once."""
    feed = Feed(named("slow", "a"))
    answers = live.stub.ModelStreamInfer(iter(feed))
    feed.put(None)

    assert ["a"] == [answer.infer_response.id for answer in answers]
    assert [] == list(live.stub.ModelStreamInfer(iter(())))


def test_the_stock_client_streams(live: LiveGrpc) -> None:
    """Its callback hears of results and of errors."""
    heard: queue.Queue[tuple[Any, InferenceServerException | None]] = queue.Queue()
    tensor = triton.InferInput("x", [1, 4], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 4), np.float32))
    with triton.InferenceServerClient(f"127.0.0.1:{live.port}") as client:
        client.start_stream(lambda result, error: heard.put((result, error)))
        client.async_stream_infer("affine", [tensor], request_id="1")
        client.async_stream_infer("failing", [tensor], request_id="2")
        good, no_error = heard.get(timeout=PATIENCE)
        _, error = heard.get(timeout=PATIENCE)
        client.stop_stream()

    assert no_error is None
    assert [3.0] * 4 == good.as_numpy("y").ravel().tolist()
    assert error
    assert "the runtime refused" in str(error)


@pytest.mark.parametrize("model", ["affine", "failing"])
@pytest.mark.parametrize("before", [(), ("never",)])
def test_what_is_answered_is_kept_no_longer(live: LiveGrpc, model: str, before: tuple[str, ...]) -> None:
    """Neither by a stream that is idle then, nor while its answer waits for one before it."""
    feed = Feed(*[named(one, one) for one in (*before, model)])
    call = live.stub.ModelStreamInfer(iter(feed))
    eventually(lambda: [one.model for one in live.engine.requests[-len(before) - 1 :]] == [*before, model])
    message = cast("bytes", live.engine.requests[-1].inputs[0].array.base)
    live.engine.requests.clear()

    eventually(lambda: sys.getrefcount(message) == 2)  # this function's own and that of the call
    assert call.is_active()
    call.cancel()
    feed.put(None)
