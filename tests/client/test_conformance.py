"""`hone-serve conformance` against servers of which it is known what is wrong with them."""

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.client.conformance.check import Level, Outcome
from service.client.conformance.discovery import Wanted, WrongOptionError, discover
from service.client.conformance.http_client import Answer, HttpClient, Request
from service.client.conformance.report import Report
from service.client.conformance.suite import CHECKS, run, selected
from service.command_line import dispatch
from service.exit_code import ExitCode
from tests.client.faults import PLANTED, Planted, constant, hits, inferred, no, told, when, yes
from tests.client.right_server import CONFIG, METADATA, MODEL, Asked, Fault, RightServer, Told, serving

SECONDS = 5.0
FIELDS = {"id", "group", "level", "extension", "document", "says"}


class Direct(HttpClient):
    """Asks a server of the same process, without the wire."""

    def __init__(self, fault: Fault) -> None:
        super().__init__("http://direct:1")
        self._fault = fault
        self._right = RightServer()

    def ask_in_turn(self, *requests: Request) -> list[Answer]:
        return [self._answer(request, turn) for turn, request in enumerate(requests)]

    def _answer(self, request: Request, turn: int) -> Answer:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = request.body or b""
        if headers.get("transfer-encoding") == "chunked":
            body = b"".join(body.split(b"\r\n")[1:-3:2])
        asked = Asked(method=request.method, path=request.path, headers=headers, body=body, turn=turn)
        told = self._fault(asked, self._right) or self._right.answer(asked)
        if not told.status:
            raise http.client.RemoteDisconnected("")
        return Answer(
            status=told.status, headers={name.lower(): value for name, value in told.headers.items()}, body=told.body
        )


def report_of(fault: Fault, *words: str, seconds: float = SECONDS, **wanted: Any) -> Report:
    """What the checks make of the right server with this fault."""
    target = discover(Direct(fault), None, Wanted(**{"model": MODEL, **wanted}), seconds)
    return run(selected(words), target, seconds)


def failures(report: Report) -> dict[str, str]:
    """Ids and reasons of what failed."""
    return {one.check.id: one.reason for one in report.results if one.outcome is Outcome.FAILED}


@pytest.fixture
def url() -> Iterator[str]:
    """A right server."""
    with serving() as address:
        yield address


@pytest.mark.parametrize("planted", PLANTED, ids=[one.name for one in PLANTED])
def test_a_fault_is_found_where_it_is(planted: Planted) -> None:
    """Just the checks that are about it fail; a breach of protocol or of a listed extension is one of conformance."""
    report = report_of(planted.fault)

    assert set(planted.found_by) == failures(report).keys(), failures(report)
    levels = {check.level for check in CHECKS if check.id in planted.found_by}
    assert bool(levels - {Level.RECOMMENDED}) == bool(report.breaches)


def test_no_check_passes_whatever_the_server_does() -> None:
    """Each of HTTP fails at a server that takes everything, at one that takes nothing, or where a fault is planted."""
    found = {name for planted in PLANTED for name in planted.found_by}
    for fault in (yes, no, constant("BYTES"), constant("FP16")):
        found |= failures(report_of(fault)).keys()

    assert set() == {check.id for check in CHECKS if check.id.startswith("http.")} - found


def test_a_right_server_conforms(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Over real connections every check passes or says why it doesn't apply; the model is found in the index."""
    assert ExitCode.OK == dispatch(["conformance", url, "--json"])

    found = json.loads(capsys.readouterr().out)
    assert {"schema", "url", "grpc_url", "server", "model", "conforms", "counts", "checks"} == found.keys()
    assert (1, url, None, MODEL, True) == tuple(
        found[key] for key in ("schema", "url", "grpc_url", "model", "conforms")
    )
    assert {"name", "version", "extensions"} == found["server"].keys()
    assert len(CHECKS) == len(found["checks"]) == sum(found["counts"].values())
    assert 0 == found["counts"]["failed"]
    for one in found["checks"]:
        assert FIELDS | {"outcome", "reason", "seconds"} == one.keys()
        assert (one["outcome"] == "skipped") == bool(one["reason"])
    assert {"grpc"} == {one["id"].split(".")[0] for one in found["checks"] if "--grpc-url" in (one["reason"] or "")}


def test_a_breach_is_exit_code_4(capsys: pytest.CaptureFixture[str]) -> None:
    """The table names the check, what was expected and what came, and what the specification says."""
    fault = told("/v2/health/live", lambda _: Told(status=503, body=b"down"))
    with serving(fault) as url:
        assert ExitCode.GOAL_NOT_MET == dispatch(["conformance", url, "--only", "http.health"])

    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "http.health.live" in said
    assert "expected 200, got 503 down" in said
    assert "doesn't conform" in said


def test_what_is_only_recommended_is_no_breach() -> None:
    """It is shown as failed, and the exit code is 0."""
    with serving(when(lambda asked: asked.path == "/v2/no-such-path", Told(status=404))) as url:
        assert ExitCode.OK == dispatch(["conformance", url, "--only", "errors", "--model", MODEL])


def test_a_server_that_hangs_costs_each_check_its_time() -> None:
    """A check that gets no answer fails in its time, and after five in a row nothing more is asked."""

    def hang(asked: Asked, _right: RightServer) -> None:
        time.sleep(0.8 if "/ready" in asked.path else 0)

    with serving(hang) as slow:
        http = HttpClient(slow)
        target = discover(http, None, Wanted(model=MODEL), SECONDS)
        report = run(selected(["http.health"]), target, 0.3)

    assert {"no answer within 0.3 s"} == set(failures(report).values())
    assert [Outcome.PASSED, *[Outcome.FAILED] * 5, Outcome.SKIPPED] == [one.outcome for one in report.results]
    assert report.is_blocked


@pytest.mark.parametrize(
    "arguments,code,text",
    [
        ([], 2, "name the server"),
        (["ftp://host"], 2, "expected http://HOST:PORT, got ftp://host"),
        (["http://host:port"], 2, "expected http://HOST:PORT"),
        (["http://a..b"], 2, "expected http://HOST:PORT, got http://a..b"),
        (["127.0.0.1:1"], 1, "http://127.0.0.1:1 doesn't answer"),
        (["127.0.0.1:1", "--grpc-url", "host"], 2, "--grpc-url: expected HOST:PORT, got 'host'"),
        (["127.0.0.1:1", "--grpc-url", "127.0.0.1:1", "--timeout", "0.3"], 1, "no gRPC server answers at 127.0.0.1:1"),
        (["127.0.0.1:1", "--timeout", "0"], 2, "--timeout"),
        (["127.0.0.1:1", "--only", "http.inver"], 2, "no check or group 'http.inver', did you mean http.infer?"),
        (["127.0.0.1:1", "--nly", "http"], 2, "unrecognized arguments: --nly http, did you mean --only?"),
    ],
)
def test_what_cannot_be_asked_is_said(
    arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody there is exit code 1, a wrong option is 2, each with one line."""
    assert code == dispatch(["conformance", *arguments])
    said = capsys.readouterr().err
    assert text in said
    assert said.count("\n") == 1


def test_a_server_may_be_behind_a_prefix(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As behind an ingress; and what this machine's environment says is for other verbs."""

    def behind(asked: Asked, right: RightServer) -> Told | None:
        if not asked.path.startswith("/models/v2"):
            return Told(status=404)
        return right.answer(replace(asked, path=asked.path.removeprefix("/models")))

    monkeypatch.setenv("LIST", "soon")
    with serving(behind) as url:
        address = url.removeprefix("http://")
        assert ExitCode.OK == dispatch(["conformance", "--only", "http.infer", f"{address}/models/", "--json"])
    assert f"{url}/models" == json.loads(capsys.readouterr().out)["url"]


def test_checks_are_listed_without_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with an id of its own, a document, and a sentence of it."""
    assert ExitCode.OK == dispatch(["conformance", "--list", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert len({one["id"] for one in found}) == len(found) == len(CHECKS)
    for one in found:
        assert FIELDS == one.keys()
        assert one["document"]
        assert one["says"].endswith(".")

    assert ExitCode.OK == dispatch(["conformance", "--list", "--only", "http.infer.id, trace"])
    said = capsys.readouterr().out
    assert "http.infer.id" in said
    assert "http.trace.model" in said
    assert "http.infer.version" not in said


def test_hits_of_a_cache_are_no_inferences() -> None:
    """A server that counts them apart, by requests, is right, also for one of two rows."""
    report = report_of(hits(inferences=lambda _: 1), "http.statistics")

    assert {Outcome.PASSED} == {one.outcome for one in report.results}


@pytest.mark.parametrize(
    "config",
    [
        {"sequence_batching": {}},
        {"ensemble_scheduling": {"step": []}},
        {"model_transaction_policy": {"decoupled": True}},
        {"response_cache": {"enable": True}},
        ["no configuration"],
    ],
    ids=str,
)
def test_a_plain_model_is_asked(config: Any) -> None:
    """Rather than one before it in the index; the first where no other is plain, or none says what it is."""
    switched_off = {"model_transaction_policy": {"decoupled": False}, "sequence_batching": None}

    def index(asked: Asked, right: RightServer) -> Told | None:
        if asked.path == "/v2/repository/index":
            return Told(status=200, body=json.dumps([{"name": "odd"}, {"name": MODEL}]).encode())
        if asked.path == f"/v2/models/{MODEL}/config":
            return Told(status=200, body=json.dumps({**CONFIG, **switched_off}).encode())
        if asked.path.startswith("/v2/models/odd"):
            found = config if asked.path.endswith("/config") else METADATA
            return Told(status=200, body=json.dumps(found).encode())
        return None

    def odd_ones(asked: Asked, right: RightServer) -> Told | None:
        told = index(asked, right)
        return Told(status=200, body=json.dumps(config).encode()) if asked.path.endswith("/config") else told

    def bare(asked: Asked, right: RightServer) -> Told | None:
        return Told(status=200, body=b'{"extensions": []}') if asked.path == "/v2" else index(asked, right)

    asked = [discover(Direct(fault), None, Wanted(), SECONDS).model for fault in (index, odd_ones, bare)]
    assert [MODEL, "odd", "odd"] == asked


def test_extensions_that_are_not_listed_are_not_checked() -> None:
    """A server of the bare protocol conforms, whatever it does with the rest."""

    def bare(asked: Asked, right: RightServer) -> Told | None:
        if asked.path == "/v2":
            answer = right.answer(asked)
            return answer.with_json({**answer.json(), "extensions": []})
        is_else = any(word in asked.path for word in ("config", "stats", "repository", "logging", "trace", "shared"))
        return Told(status=404, body=b'{"error": "no"}') if is_else else None

    report = report_of(bare)
    assert {} == failures(report)
    assert report.conforms
    skipped = {one.check.id: one.reason for one in report.results if one.outcome is Outcome.SKIPPED}
    assert {check.id for check in CHECKS if check.extension} <= skipped.keys()
    assert 'doesn\'t list the extension "statistics"' in skipped["http.statistics.model"]


def test_a_server_without_an_index_needs_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    """The line says which option to give; a name that the server doesn't know is wrong too."""
    with serving(when(lambda asked: "repository" in asked.path, Told(status=404))) as url:
        assert ExitCode.WRONG_SETTING == dispatch(["conformance", url])
        assert "--model NAME" in capsys.readouterr().err
        assert ExitCode.WRONG_SETTING == dispatch(["conformance", url, "--model", "nobody"])
        assert "no model nobody that is ready" in capsys.readouterr().err


def picky(asked: Asked, right: RightServer) -> Told | None:
    """Takes x only if its first element is 0.25."""
    try:
        refused = asked.is_infer and 0.25 not in np.ravel(asked.document()["inputs"][0]["data"])[:1]
    except (IndexError, KeyError, TypeError, ValueError):
        return None
    return Told(status=400, body=b'{"error": "not mine"}') if refused else None


def test_a_model_that_refuses_what_is_made_up_can_be_given_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it nothing can be said, which is exit code 1 and names the option; with it the server is checked."""
    inputs = [
        {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [[0.25, 1, 2, 3]]},
        {"name": "n", "datatype": "INT64", "shape": [1, 4], "data": [1, 2, 3, 4]},
    ]
    (tmp_path / "data.json").write_text(json.dumps({"inputs": inputs, "parameters": {"speed": 2}}))
    words = ["--only", "http.infer.id,http.infer.flat-and-nested", "--json"]
    with serving(picky) as url:
        assert ExitCode.FAILED == dispatch(["conformance", url, *words])
        found = json.loads(capsys.readouterr().out)
        assert "--data FILE.json" in found["checks"][0]["reason"]
        assert not found["conforms"]
        assert ExitCode.OK == dispatch(["conformance", url, *words, "--data", str(tmp_path / "data.json")])
        assert 2 == json.loads(capsys.readouterr().out)["counts"]["passed"]
        (tmp_path / "data.json").write_text("{}")
        assert ExitCode.WRONG_SETTING == dispatch(["conformance", url, "--data", str(tmp_path / "data.json")])


def test_shapes_are_for_what_varies() -> None:
    """With the batch or without; a shape that the model hasn't is a wrong option."""
    shapes: list[Any] = []

    def note(asked: Asked, _right: RightServer) -> Told | None:
        if asked.is_infer and asked.method == "POST":
            shapes.append([entry["shape"] for entry in asked.document()["inputs"]])
        return None

    report_of(note, "http.infer.answers", shapes=("x:2,4", "n:2,4"))
    report_of(note, "http.infer.answers", shapes=("x:4",))
    assert [[[2, 4], [2, 4]], [[1, 4], [1, 4]]] == shapes
    for wrong in ("x:2,5", "x", "z:1", "x:-1,4"):
        with pytest.raises(WrongOptionError, match=r"shape|expected NAME:DIMS"):
            report_of(note, shapes=(wrong,))


def test_a_model_that_answers_differently_every_time_is_compared_by_names() -> None:
    """Chance is no fault."""
    drawn = iter(range(100_000))

    def change(document: dict[str, Any], _asked: Asked) -> None:
        for entry in document["outputs"]:
            if entry["datatype"] == "FP32":
                entry["data"] = [float(next(drawn)) for _ in entry["data"]]

    assert {} == failures(report_of(inferred(change)))


def test_metadata_that_cannot_be_read_leaves_inference_untried() -> None:
    """The metadata's own checks fail; the rest says what is missing."""
    broken = {**METADATA, "inputs": "none"}
    report = report_of(told(f"/v2/models/{MODEL}", lambda one: one.with_json(broken)))

    assert {"http.metadata.model"} == failures(report).keys()
    assert report.is_blocked
    assert report_of(told(f"/v2/models/{MODEL}", lambda one: one.with_json(broken)), "http.health").conforms


def test_what_a_check_did_not_foresee_is_a_failure() -> None:
    """Lists for objects, numbers for texts: the reason says that the answer can't be read."""
    odd = report_of(
        when(lambda asked: asked.path == "/v2/models/stats", Told(status=200, body=b'{"model_stats": [7]}'))
    )

    assert {"http.statistics.all-models"} == failures(odd).keys()


def test_half_precision_goes_as_bytes() -> None:
    """What JSON can't carry is sent and asked for as binary data; the checks that need JSON say so."""
    metadata = {
        **METADATA,
        "inputs": [METADATA["inputs"][0], {**METADATA["inputs"][1], "datatype": "BF16"}],
    }
    seen: list[str] = []

    def half(asked: Asked, right: RightServer) -> Told | None:
        if asked.path == f"/v2/models/{MODEL}":
            return right.answer(asked).with_json(metadata)
        if asked.is_infer and asked.method == "POST":
            seen.append(asked.body.decode("latin-1"))
        return None

    report = report_of(half, "http.infer.answers")
    assert report.is_blocked  # the model behind takes INT64
    assert '"datatype": "BF16", "parameters": {"binary_data_size": 8}' in seen[0]
    assert seen[0].endswith("\x80\x3f" * 4)
