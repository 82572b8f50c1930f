"""Spans of a real server's requests, as a collector gets them."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.engine.ensemble.doubles import step
from tests.integration import models
from tests.integration.alphabet import write_alphabet
from tests.integration.served import CONFIG, Served, serving, write_ensemble, write_model
from tests.integration.test_sequences import SUM
from tests.telemetry.collector import Collected, Told, collecting

CALLER = "b7ad6b7169203331"
SERVER, CLIENT, ERROR = 2, 3, 2
X = np.random.default_rng(0).normal(size=(1, 64)).astype(np.float32)
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": X[0].tolist()}]}


@pytest.fixture(scope="module")
def collected() -> Iterator[Collected]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, collected: Collected) -> Iterator[Served]:
    """A server of every kind of model; that which is computed elsewhere is computed by another server of ours."""
    root, east = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("east")
    write_model(east, "far")
    write_model(root, "mlp", config=CONFIG)
    write_model(root, "kept", config=CONFIG + "response_cache { enable: true }")
    write_model(root, "slow", config="max_batch_size: 16 dynamic_batching { }", model=models.hanging(7.0))
    write_model(root, "sum", config=SUM, model=models.summing())
    (root / "sum" / "initial_state").mkdir()
    (root / "sum" / "initial_state" / "hundred").write_bytes(np.array([100], np.float32).tobytes())
    write_model(root, "twice", config="max_batch_size: 16 dynamic_batching { }", model=models.doubled())
    chain = step("twice", "x=in", "y=doubled"), step("mlp", "x=doubled", "y=scores")
    write_ensemble(root, "chain", *chain, inputs="in:FP32:64", outputs="scores:FP32:10")
    write_alphabet(root, "abc")
    (root / "far").mkdir()
    (root / "far" / "config.pbtxt").write_text('parameters { key: "hone.remote" value { string_value: "east" } }')
    traced = ("--otlp-endpoint", collected.url)
    with serving(east, *traced, "--server-name", "east", "--trace-sample-ratio", "0") as other:
        flags = ("--remote", f"east={other.grpc}", "--response-cache-byte-size", "100000")
        with serving(root, *traced, *flags, "--batch-timeout-secs", "1") as server:
            yield server


class Caller:
    """Asks in a trace of its own."""

    _count = 0

    def __init__(self) -> None:
        Caller._count += 1
        self.trace = f"{Caller._count:032x}"
        self.headers = {"traceparent": f"00-{self.trace}-{CALLER}-01"}

    def post(self, served: Served, path: str, body: Any = BODY, **headers: str) -> httpx.Response:
        return httpx.post(served.http + path, json=body, headers=self.headers | headers, timeout=20)

    def spans(self, collected: Collected, name: str) -> tuple[Told, dict[str, list[Told]]]:
        """The span of that name, which ends last, and all of this trace by their names."""
        until = time.monotonic() + 10
        while name not in collected.of(self.trace):
            assert time.monotonic() < until, collected.of(self.trace).keys()
            time.sleep(0.02)
        found = collected.of(self.trace)
        (whole,) = found[name]
        assert (CALLER, SERVER) == (whole.parent, whole.kind)
        return whole, found


def check_tree(whole: Told, found: dict[str, list[Told]]) -> None:
    """Every span but the first has a parent in the trace, and lies within it: in order, receive before respond."""
    spans = {span.id: span for named in found.values() for span in named}
    for span in spans.values():
        if span is not whole:
            parent = spans[span.parent]
            assert parent.start <= span.start <= span.end <= parent.end, (span.name, parent.name)


def check_parts(whole: Told, found: dict[str, list[Told]], collected: Collected) -> Told:
    """Its parts follow one another; the batch that it was computed in, which has a link to it."""
    check_tree(whole, found)
    receive, queue, compute, respond = [found[name][0] for name in ("receive", "queue", "compute", "respond")]
    assert whole.start == receive.start
    assert receive.end <= queue.start <= queue.end <= compute.start < compute.end <= respond.start < respond.end
    assert respond.end == whole.end
    (batch,) = [span for span in collected.spans if span.id in compute.links]
    assert ("batch", "", (batch.start, batch.end)) == (batch.name, batch.parent, (compute.start, compute.end))
    assert whole.id in batch.links
    assert batch.trace != whole.trace
    phases = [batch.about[f"hone.batch.{phase}_seconds"] for phase in ("input", "infer", "output")]
    assert 0 < sum(phases) <= (batch.end - batch.start) / 1e9 + 1e-6
    return batch


HTTP = "POST /v2/models/{model}/infer"
RPC = "inference.GRPCInferenceService/"


@pytest.mark.parametrize("entrance", ["fast", "ASGI", "v1"])
def test_a_request_over_http(entrance: str, served: Served, collected: Collected) -> None:
    """Whichever entrance it takes: what was asked, what was answered, and where the time went."""
    caller = Caller()
    if entrance == "v1":
        answer = caller.post(served, "/v1/models/mlp:predict", {"instances": X.tolist()})
    else:
        coding = {"Accept-Encoding": "gzip"} if entrance == "ASGI" else {}
        if entrance == "ASGI":
            content = json.dumps(BODY).encode()
            answer = httpx.post(
                served.http + "/v2/models/mlp/infer",
                content=iter([content]),
                headers=caller.headers | coding,
                timeout=20,
            )
        else:
            answer = caller.post(served, "/v2/models/mlp/infer", BODY | {"id": "mine"})
    assert 200 == answer.status_code
    name = "POST /v1/models/{model}:predict" if entrance == "v1" else HTTP
    whole, found = caller.spans(collected, name)
    batch = check_parts(whole, found, collected)

    about = {
        "http.request.method": "POST",
        "http.route": name.removeprefix("POST "),
        "http.response.status_code": 200,
        "url.path": answer.url.path,
        "url.scheme": "http",
        "hone.model": "mlp",
        "hone.model.version": "1",
        "hone.outcome": "ok",
    }
    assert about.items() <= whole.about.items()
    assert ("mine" if entrance == "fast" else None) == whole.about.get("hone.request.id")
    assert whole.about["http.request.body.size"] > 100
    assert 0 == whole.status
    assert (1, 1) == (batch.about["hone.batch.rows"], batch.about["hone.batch.requests"])


def ask(client: Any, library: Any, rows: int = 1, model: str = "mlp", **more: Any) -> Any:
    tensor = library.InferInput("x", [rows, 64], "FP32")
    tensor.set_data_from_numpy(np.repeat(X, rows, axis=0))
    return client.infer(model, [tensor], **more)


def test_a_request_over_grpc(served: Served, collected: Collected) -> None:
    """The context comes in its metadata."""
    caller = Caller()
    with triton_grpc.InferenceServerClient(served.grpc) as client:
        ask(client, triton_grpc, headers=caller.headers)
    whole, found = caller.spans(collected, RPC + "ModelInfer")

    check_parts(whole, found, collected)
    about = {"rpc.system": "grpc", "rpc.service": RPC[:-1], "rpc.method": "ModelInfer", "rpc.grpc.status_code": 0}
    assert about.items() <= whole.about.items()


def test_messages_of_a_stream(served: Served, collected: Collected) -> None:
    """Each is a span of its own, in the trace of the call."""
    caller, answers = Caller(), Queue[Any]()
    tensor = triton_grpc.InferInput("x", [1, 64], "FP32")
    tensor.set_data_from_numpy(X)
    with triton_grpc.InferenceServerClient(served.grpc) as client:
        client.start_stream(lambda result, error: answers.put((result, error)), headers=caller.headers)
        for name in ("mlp", "mlp", "nobody"):
            client.async_stream_infer(name, [tensor])
        results = [answers.get(timeout=10) for _ in range(3)]
        client.stop_stream()
    assert [True, True, False] == [error is None for _, error in results]
    until = time.monotonic() + 10
    while len(spans := collected.of(caller.trace).get(RPC + "ModelStreamInfer", [])) < 3:
        assert time.monotonic() < until
        time.sleep(0.02)

    assert ["NOT_FOUND", "OK", "OK"] == sorted(
        "OK" if span.about["rpc.grpc.status_code"] == 0 else "NOT_FOUND" for span in spans
    )
    assert {CALLER} == {span.parent for span in spans}
    assert 2 == len(collected.of(caller.trace)["compute"])


def test_requests_that_share_a_batch_have_links_to_it(served: Served, collected: Collected) -> None:
    """And it to all of them, whoever began their traces."""
    callers = [Caller() for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        assert {200} == {
            one.status_code for one in pool.map(lambda one: one.post(served, "/v2/models/mlp/infer"), callers)
        }
    wholes = {whole.id: found for whole, found in (caller.spans(collected, HTTP) for caller in callers)}

    linked = {found["compute"][0].links[0] for found in wholes.values()}
    batches = [span for span in collected.wait(1, "batch") if span.id in linked]
    assert wholes.keys() == {link for batch in batches for link in batch.links}
    assert all(batch.about["hone.batch.requests"] == len(batch.links) for batch in batches)


def test_a_request_with_more_rows_than_a_batch(served: Served, collected: Collected) -> None:
    """Has a turn in each of its batches."""
    caller = Caller()
    with triton.InferenceServerClient(served.http.removeprefix("http://")) as client:
        ask(client, triton, rows=40, headers=caller.headers)
    whole, found = caller.spans(collected, HTTP)

    check_tree(whole, found)
    assert 3 == len(found["queue"]) == len(found["compute"]) == len({span.links for span in found["compute"]})


def test_an_answer_that_was_kept(served: Served, collected: Collected) -> None:
    """Wasn't computed, nor waited for."""
    callers = [Caller(), Caller()]
    for caller in callers:
        assert 200 == caller.post(served, "/v2/models/kept/infer").status_code
    first, second = [caller.spans(collected, HTTP) for caller in callers]

    check_parts(*first, collected)
    check_tree(*second)
    assert {HTTP, "receive", "respond"} == second[1].keys()


def test_steps_of_an_ensemble(served: Served, collected: Collected) -> None:
    """Are parts of its request, and have parts of their own."""
    caller = Caller()
    body = {"inputs": [{**BODY["inputs"][0], "name": "in"}]}
    assert 200 == caller.post(served, "/v2/models/chain/infer", body).status_code
    whole, found = caller.spans(collected, HTTP)

    check_tree(whole, found)
    first, second = found["step twice"][0], found["step mlp"][0]
    assert [whole.id] * 2 == [first.parent, second.parent]
    assert ["twice", "mlp"] == [first.about["hone.model"], second.about["hone.model"]]
    assert first.end <= second.start
    assert (
        [first.id, second.id] == [span.parent for span in found["queue"]] == [span.parent for span in found["compute"]]
    )


def test_steps_of_a_sequence(served: Served, collected: Collected) -> None:
    """Each is a request like any other."""
    callers = [Caller(), Caller()]
    for number, caller in enumerate(callers):
        body = {
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}],
            "parameters": {"sequence_id": 7, "sequence_start": number == 0, "sequence_end": number == 1},
        }
        assert 200 == caller.post(served, "/v2/models/sum/infer", body).status_code
    for caller in callers:
        check_parts(*caller.spans(collected, HTTP), collected)


def test_a_text(served: Served, collected: Collected) -> None:
    """Is one span from its prompt to its last token, streamed or not."""
    for path in ("generate", "generate_stream"):
        caller = Caller()
        answer = caller.post(served, f"/v2/models/abc/{path}", {"text_input": "a", "parameters": {"max_tokens": 5}})
        assert 200 == answer.status_code
        whole, found = caller.spans(collected, f"POST /v2/models/{{model}}/{path}")
        check_tree(whole, found)
        assert "abc" == whole.about["hone.model"]


def test_a_request_that_another_server_computes(served: Served, collected: Collected) -> None:
    """Goes on in the same trace there, though that server itself would trace nothing."""
    caller = Caller()
    assert 200 == caller.post(served, "/v2/models/far/infer").status_code
    whole, _ = caller.spans(collected, HTTP)
    until = time.monotonic() + 10
    while len(found := collected.of(caller.trace).get(RPC + "ModelInfer", [])) < 2:
        assert time.monotonic() < until
        time.sleep(0.02)
    asked, answered = found

    assert (whole.id, CLIENT) == (asked.parent, asked.kind)
    assert (asked.id, SERVER) == (answered.parent, answered.kind)
    assert whole.start <= asked.start <= answered.start <= answered.end <= asked.end <= whole.end


@pytest.mark.parametrize(
    "model,body,headers,reason,status",
    [
        ("mlp", {"inputs": []}, {}, "invalid_request", 400),
        ("nobody", BODY, {}, "model_not_found", 404),
        ("mlp", BODY, {"X-Request-Timeout-Ms": "0.000001"}, "deadline_infeasible", 503),
        ("slow", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [7.0]}]}, {}, "", 503),
    ],
)
def test_a_request_that_fails(
    model: str, body: Any, headers: dict[str, str], reason: str, status: int, served: Served, collected: Collected
) -> None:
    """Says why, in a word; errors of the server's are marked as such, those of clients aren't."""
    caller = Caller()
    answer = caller.post(served, f"/v2/models/{model}/infer", body, **headers)
    whole, found = caller.spans(collected, HTTP)

    check_tree(whole, found)
    reason = reason or answer.json()["reason"]
    assert (reason, answer.status_code) == (whole.about["error.type"], whole.about["http.response.status_code"])
    assert (status >= 500) == (answer.status_code >= 500) == (whole.status == ERROR)
    assert (reason if status >= 500 else "") == whole.why
    assert model == whole.about["hone.model"]


def test_what_the_caller_does_not_record_is_not_recorded(served: Served, collected: Collected) -> None:
    """Also where all other requests are."""
    caller, other = Caller(), Caller()
    caller.headers = {"traceparent": caller.headers["traceparent"][:-2] + "00"}
    assert 200 == caller.post(served, "/v2/models/mlp/infer").status_code
    assert 200 == other.post(served, "/v2/models/mlp/infer").status_code
    other.spans(collected, HTTP)
    assert {} == collected.of(caller.trace)


def test_who_sends_them_is_said(served: Served, collected: Collected) -> None:
    """By the server's name."""
    caller = Caller()
    caller.post(served, "/v2/models/mlp/infer")
    caller.spans(collected, HTTP)
    assert collected.resource["service.name"] in {"hone", "east"}


def test_a_collector_that_hangs_changes_nothing(tmp_path: Path) -> None:
    """The same answers, and an end in time: what wasn't sent is said to be lost."""
    write_model(tmp_path, "mlp")
    with collecting(hangs=True) as hanging, serving(tmp_path, "--otlp-endpoint", hanging.url) as served:
        with triton_grpc.InferenceServerClient(served.grpc) as client:
            answers = [ask(client, triton_grpc).as_numpy("y") for _ in range(300)]
        assert all((one == answers[0]).all() for one in answers)
        began = time.monotonic()
        assert 0 == served.stop()
        assert time.monotonic() - began < 9

    lost = [line for line in served.log if line["event"].startswith("spans are lost")]
    assert 300 < sum(line["lost"] for line in lost)
    assert len(lost) <= 2


def test_refusals_over_grpc(served: Served, collected: Collected) -> None:
    """Have the code of gRPC."""
    caller = Caller()
    with triton_grpc.InferenceServerClient(served.grpc) as client, pytest.raises(InferenceServerException):
        ask(client, triton_grpc, model="nobody", headers=caller.headers)
    whole, _ = caller.spans(collected, RPC + "ModelInfer")
    assert (5, "model_not_found", 0) == (whole.about["rpc.grpc.status_code"], whole.about["error.type"], whole.status)
