"""The logging extension, by NVIDIA's clients on all entrances."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tritonclient import grpc as triton_grpc
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from service.logs import LogControl, LogSettings
from tests.contract.live import Live, ask, body, status
from tests.contract.live_grpc import LiveGrpc, serve_grpc
from tests.contract.raw import post

ALL = {
    "log_file": "",
    "log_info": True,
    "log_warning": True,
    "log_error": True,
    "log_verbose_level": 0,
    "log_format": "ISO8601",
}


@pytest.fixture(params=["fast", "plain", "grpc"])
def door(request: pytest.FixtureRequest) -> Iterator[tuple[Any, LogControl]]:
    """A client of each server, and what it controls."""
    live: Live | LiveGrpc
    if request.param == "grpc":
        with serve_grpc() as live, triton_grpc.InferenceServerClient(f"127.0.0.1:{live.port}") as client:
            yield client, live.logs
        return
    live = request.getfixturevalue(f"{request.param}_server")
    with triton.InferenceServerClient(f"127.0.0.1:{live.port}") as http_client:
        yield http_client, live.logs
    live.logs.settings, live.logs.locked = LogSettings(), ""


def told(client: Any, answer: Any) -> dict[str, Any]:
    """The settings in an answer of either client."""
    if isinstance(client, triton.InferenceServerClient):
        assert isinstance(answer, dict)
        return answer
    return {key: getattr(value, value.WhichOneof("parameter_choice")) for key, value in answer.settings.items()}


def test_what_is_set_is_told(door: tuple[Any, LogControl]) -> None:
    """All of it, before and after a change; what isn't named stays."""
    client, logs = door
    assert ALL == told(client, client.get_log_settings())

    answer = client.update_log_settings({"log_info": False, "log_verbose_level": 2})
    assert ALL | {"log_info": False, "log_verbose_level": 2} == told(client, answer)
    assert LogSettings(info=False, verbose_level=2) == logs.settings
    answer = client.update_log_settings({"log_info": True, "log_verbose_level": 0, "log_format": "ISO8601"})
    assert ALL == told(client, answer)


@pytest.mark.parametrize(
    "changes,text",
    [
        ({"log_file": "server.log"}, "log_file can't be set"),
        ({"log_info": False, "log_format": "default"}, 'log_format can.t be "default": times are .* as "ISO8601" says'),
        ({"log_info": False, "log_format": "odd"}, 'log_format is "odd", expected "ISO8601"'),
        ({"log_warnings": True}, '"log_warnings" isn\'t known, there are "log_file", "log_info", '),
    ],
)
def test_a_change_that_is_refused_changes_nothing(
    door: tuple[Any, LogControl], changes: dict[str, Any], text: str
) -> None:
    """Nor do those beside it."""
    client, logs = door
    with pytest.raises(InferenceServerException, match=text):
        client.update_log_settings(changes)

    assert LogSettings() == logs.settings


def test_strangers_may_only_look(door: tuple[Any, LogControl]) -> None:
    """Where others than this machine can reach the server."""
    client, logs = door
    logs.locked = "anybody who reaches 0.0.0.0 could"
    with pytest.raises(InferenceServerException, match="anybody who reaches"):
        client.update_log_settings({"log_error": False})

    assert ALL == told(client, client.get_log_settings())
    assert LogSettings() == logs.settings


def test_what_is_no_object_is_refused(server: Live) -> None:
    """A body that is something else, and values of another kind; an empty one changes nothing."""
    wrong = (b"[]", b"{", b'{"log_verbose_level": 4294967296}', b'{"log_verbose_level": true}', b'{"log_error": "no"}')
    for content, code in (
        *((text, 400) for text in wrong),
        (b'{"log_info": null}', 400),
        (b'{"log_format": "default"}', 501),
        (b"", 200),
    ):
        answer = ask(server.port, post("/v2/logging", content))
        assert code == status(answer)
        assert json.loads(body(answer))
