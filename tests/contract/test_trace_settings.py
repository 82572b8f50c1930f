"""The trace extension, by NVIDIA's clients on all entrances."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient import grpc as triton_grpc
from tritonclient import http as triton
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException

from service.trace_file import TraceFile
from service.tracing import TraceControl, TraceSettings
from tests.contract.live import Live, ask, body, status
from tests.contract.live_grpc import LiveGrpc, serve_grpc
from tests.contract.raw import post

START = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_file": "trace.json",
    "trace_mode": "triton",
}


@pytest.fixture(params=["fast", "plain", "grpc"])
def door(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """A client of each server, and the engine behind it."""
    live: Live | LiveGrpc
    if request.param == "grpc":
        with serve_grpc() as live, triton_grpc.InferenceServerClient(f"127.0.0.1:{live.port}") as client:
            yield client, live.engine
        return
    live = request.getfixturevalue(f"{request.param}_server")
    before = live.engine.traces
    live.engine.traces = TraceControl(before.file)
    with triton.InferenceServerClient(f"127.0.0.1:{live.port}") as http_client:
        yield http_client, live.engine
    live.engine.traces = before


def told(client: Any, answer: Any) -> dict[str, Any]:
    """The settings in an answer of either client."""
    if isinstance(client, triton.InferenceServerClient):
        assert isinstance(answer, dict)
        return answer
    found = {key: list(setting.value) for key, setting in answer.settings.items()}
    return {key: value if key == "trace_level" else value[0] for key, value in found.items()}


def test_what_is_set_is_told(door: tuple[Any, Any]) -> None:
    """For all and for one model; what isn't named stays, what is null is as it was before."""
    client, engine = door
    assert START == told(client, client.get_trace_settings())
    assert START == told(client, client.get_trace_settings("affine"))

    own = {"trace_level": ["TIMESTAMPS"], "trace_rate": "2", "trace_mode": "triton"}
    assert START | own == told(client, client.update_trace_settings("affine", own))
    assert engine.traces.on
    everybody = {"trace_count": "7", "log_frequency": "3", "trace_rate": "5"}
    assert START | everybody == told(client, client.update_trace_settings(settings=everybody))
    assert START | everybody | own == told(client, client.get_trace_settings("affine"))
    taken_back: dict[str, Any] = {"trace_level": None, "trace_rate": []}
    assert START | everybody == told(client, client.update_trace_settings("affine", taken_back))
    assert START == told(client, client.update_trace_settings(settings=dict.fromkeys(everybody)))
    assert START == told(client, client.update_trace_settings("affine", {}))
    assert not engine.traces.on


@pytest.mark.parametrize(
    "changes,text",
    [
        ({"trace_file": "elsewhere.json"}, "trace_file can't be set.*--trace-file"),
        ({"trace_level": ["TENSORS"]}, "trace_level TENSORS isn't implemented"),
        ({"trace_level": ["TIMESTAMPS", "TENSORS"]}, "trace_level TENSORS isn't implemented"),
        ({"trace_level": ["OFF", "TIMESTAMPS"]}, "trace_level OFF goes with no other"),
        ({"trace_level": ["LOUD"]}, 'trace_level is "LOUD"'),
        ({"trace_rate": "0"}, 'trace_rate is "0", expected how many requests'),
        ({"trace_rate": "1.5"}, 'trace_rate is "1.5"'),
        ({"trace_rate": ["1", "2"]}, r'trace_rate is \["1", "2"\]'),
        ({"trace_count": "-2"}, 'trace_count is "-2"'),
        ({"trace_count": "2147483648"}, "trace_count .* to 2147483647"),
        ({"trace_rate": "3", "log_frequency": "often"}, 'log_frequency is "often"'),
        ({"trace_mode": "opentelemetry"}, "trace_mode opentelemetry can't be set"),
        ({"trace_mode": "odd"}, 'trace_mode is "odd", expected triton'),
        ({"trace_size": "1"}, '"trace_size" isn\'t known, there are .*trace_level'),
    ],
)
def test_a_change_that_is_refused_changes_nothing(door: tuple[Any, Any], changes: dict[str, Any], text: str) -> None:
    """The text names the key; nor is anything beside it changed."""
    client, engine = door
    with pytest.raises(InferenceServerException, match=text):
        client.update_trace_settings("affine", changes)

    assert TraceSettings() == engine.traces.settings("affine")


def test_without_a_file_nothing_can_be_traced(door: tuple[Any, Any]) -> None:
    """The text says which flag is missing; OFF may still be set."""
    client, engine = door
    engine.traces = TraceControl()
    with pytest.raises(InferenceServerException, match="without --trace-file"):
        client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]})

    assert START | {"trace_file": ""} == told(client, client.update_trace_settings(settings={"trace_level": ["OFF"]}))


def test_full_files_take_no_more(door: tuple[Any, Any]) -> None:
    """Which is said to whoever would have further requests traced."""
    client, engine = door
    engine.traces = TraceControl(TraceFile(Path("nowhere/trace.json"), 0))
    for limit in ("--max-trace-bytes", "1000 files"):
        engine.traces.file.reached = limit
        with pytest.raises(InferenceServerException, match=f"traces have reached {limit}"):
            client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]})


def test_strangers_may_only_look(door: tuple[Any, Any]) -> None:
    """Where others than this machine can reach the server."""
    client, engine = door
    engine.traces.locked = "anybody who reaches 0.0.0.0 could"
    with pytest.raises(InferenceServerException, match="trace settings can't be changed: anybody who reaches"):
        client.update_trace_settings(settings={"trace_rate": "1"})

    assert START == told(client, client.get_trace_settings())


def test_an_unknown_model_has_no_settings(door: tuple[Any, Any]) -> None:
    """Neither to be told nor to be changed."""
    client, _ = door
    for call in (client.get_trace_settings, client.update_trace_settings):
        with pytest.raises(InferenceServerException, match='there is no model "nobody"'):
            call("nobody")


@pytest.mark.parametrize(
    "path,content,code",
    [
        ("/v2/trace/setting", b"", 200),
        ("/v2/trace/setting", b"[]", 400),
        ("/v2/trace/setting", b"{", 400),
        ("/v2/trace/setting", b'{"trace_rate": 5}', 400),
        ("/v2/trace/setting", b'{"trace_level": [5]}', 400),
        ("/v2/trace/setting", b'{"trace_rate": ""}', 200),
        ("/v2/trace/setting", b'{"trace_file": null}', 501),
        ("/v2/models/nobody/trace/setting", b"{}", 404),
    ],
)
def test_each_refusal_has_its_status(server: Live, path: str, content: bytes, code: int) -> None:
    """Values are strings; an empty body changes nothing."""
    answer = ask(server.port, post(path, content))

    assert code == status(answer)
    assert json.loads(body(answer))


def test_all_of_triton_s_calls_are_there() -> None:
    """Each RPC of the service answers in its own words, none as unknown."""
    methods = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    with serve_grpc() as live:
        unknown = []
        for method in methods:
            call = live.channel.unary_unary(f"/inference.GRPCInferenceService/{method.name}")
            try:
                call(b"", timeout=10)
            except grpc.RpcError as error:
                if "hone-reason" not in dict(error.trailing_metadata() or ()):
                    unknown.append(method.name)
    assert 20 == len(methods)
    assert unknown in ([], ["ModelStreamInfer"])  # which takes a stream
