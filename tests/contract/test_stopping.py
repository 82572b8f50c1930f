"""The server's patience with what is under way ends while it stops."""

import json
import logging

import pytest

from service.protocol.limits import Limits
from tests.contract.live import Client, body, eventually, serve, status
from tests.contract.raw import INFER, chunked, document, infer

NEVER = "/v2/models/never/infer"
PREDICT = "/v1/models/affine:predict"
GENERATE = "/v2/models/affine/generate"
INDEX = "/v2/repository/index"
LOAD = "/v2/repository/models/affine/load"
LOGGING = "/v2/logging"


@pytest.mark.parametrize(
    "request_text",
    [
        chunked(INFER, document())[:-9],
        infer(headers=("Expect: 100-continue",))[:-3],
        chunked(NEVER, document()),
        chunked(PREDICT, b'{"instances": [[1, 2]]}')[:-9],
        chunked(GENERATE, b'{"text_input": "a"}')[:-9],
        chunked(INDEX, b'{"ready": true}')[:-9],
        chunked(LOAD, b'{"parameters": {}}')[:-9],
        chunked(LOGGING, b'{"log_info": true}')[:-9],
    ],
    ids=["chunks", "body", "answer", "predict", "generate", "index", "load", "logging"],
)
@pytest.mark.parametrize("fast", [True, False])
def test_who_cannot_be_waited_for_is_told(fast: bool, request_text: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A request through ASGI that can't be finished is refused as draining, without a trace in the log."""
    with serve(fast=fast, limits=Limits(), patience=1) as live, Client(live.port) as client:
        client.send(request_text)
        eventually(lambda: live.server.server_state.tasks)
        live.server.should_exit = True
        answer = client.answer()

        assert status(answer) == 503
        assert json.loads(body(answer)) == {"error": "the server is stopping", "reason": "draining"}
        assert b"\r\nconnection: close\r\n" in answer
        assert b"\r\nretry-after: 1\r\n" in answer
        assert client.is_closed()
    assert not [record for record in caplog.records if record.exc_info and record.levelno >= logging.ERROR]


def test_a_refusal_that_lingers_ends_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """A client that still sends after its refusal doesn't make a trace when the server stops."""
    with serve(fast=False, limits=Limits(max_json_bytes=8), patience=1) as live, Client(live.port) as client:
        client.send(chunked(INFER, document())[:-9])
        assert status(client.answer()) == 413
        live.server.should_exit = True
        assert client.is_closed()
    assert not [record for record in caplog.records if record.exc_info]
