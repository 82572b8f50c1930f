"""`hone-serve bench`: a server of ours, one that isn't, one that is slow or wrong, and one that isn't there."""

import json
import re
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.served import free_port
from service.client.bench import Bounds, Load, measure, requests_for
from service.client.conformance.discovery import Wanted, client_of, discover
from service.client.conformance.http_client import UnreachableError
from service.client.conformance.sample import drawn, made_up
from service.command_line import dispatch
from service.exit_code import ExitCode
from tests.certificate import make_certificate
from tests.client.right_server import MODEL, Asked, RightServer, Told, serving
from tests.integration import models, served

QUICK = ("--concurrency", "1,3", "--seconds", "0.2")


@pytest.fixture(scope="module")
def hone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of ours: a model of floats, and one whose lengths vary."""
    root = tmp_path_factory.mktemp("models")
    served.write_model(root, "mlp")
    served.write_model(root, "lengths", config="max_batch_size: 4", model=models.lengths())
    with served.serving(root) as server:
        yield server.http


def asked(capsys: pytest.CaptureFixture[str], *words: str, code: ExitCode = ExitCode.OK) -> dict[str, Any]:
    """What `bench --json` says."""
    assert code == dispatch(["bench", *words, "--json"]), capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("encoding", ["json", "binary"])
def test_hone_is_measured(hone: str, encoding: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Closed loops, then Poisson arrivals, each with its figures; every request is answered."""
    found = asked(capsys, hone, "--model", "mlp", *QUICK, "--rate", "50,100", "--encoding", encoding)

    assert (1, hone, "mlp", encoding) == tuple(found[key] for key in ("schema", "url", "model", "encoding"))
    assert [(1, None), (3, None), (None, 50), (None, 100)] == [(one["clients"], one["rate"]) for one in found["loads"]]
    for one in found["loads"]:
        assert one["requests"] == one["statuses"]["200"] > 0
        assert 0 < one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"]
        assert (one["sent_late_p99_ms"] is None) == (one["rate"] is None)
    assert (None, None) == (found["slo_ms"], found["met"])


def test_shapes_can_be_given(hone: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Axes that vary are as long as it is said, and a shape that isn't the model's is named."""
    found = asked(capsys, hone, "--model", "lengths", "--shape", "ids:2,7", "--shape", "mask:2,7", *QUICK)

    assert ExitCode.WRONG_SETTING == dispatch(["bench", hone, "--model", "mlp", "--shape", "x:3,3"])
    assert "--shape x: the model takes [-1, 64]" in capsys.readouterr().err
    assert [[2, 7], [2, 7]] == [one["shape"] for one in found["inputs"]]


def test_a_stranger_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Any server of the protocol will do; the first model that is ready is asked."""
    right = RightServer()

    def remembered(asked: Asked, _: RightServer) -> Told:
        if asked.is_infer:
            right.asked.append(asked)
        return right.answer(asked)

    with serving(remembered) as url:
        found = asked(capsys, url, "--concurrency", "2", "--requests", "40", "--seconds", "30")

    assert (MODEL, 40) == (found["model"], found["loads"][0]["requests"])
    assert 16 == len({one.body for one in right.asked})


def test_the_table_says_what_it_comes_to(capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each load, then the server, the model and the verdict."""
    with serving() as url:
        assert ExitCode.OK == dispatch(["bench", url, *QUICK, "--slo-ms", "5000"])
        said = " ".join(re.sub("[│┃]", " ", capsys.readouterr().out).split())

    assert "load requests/s p50 ms p95 ms p99 ms within SLO/s failed" in said
    assert re.search(r"1 client [\d.,]+ [\d.]+ [\d.]+ [\d.]+ [\d.,]+ 3 clients", said)
    assert f"right 1, model {MODEL}, json: x [1, 4], n [1, 4]" in said
    assert "p99 within 5000 ms and every request answered: met" in said


def test_a_missed_slo_is_exit_code_4(capsys: pytest.CaptureFixture[str]) -> None:
    """The loads that miss it are named."""
    with serving() as url:
        assert ExitCode.GOAL_NOT_MET == dispatch(["bench", url, *QUICK, "--slo-ms", "0.001"])

    assert "missed by 1 client; 3 clients" in " ".join(capsys.readouterr().out.split())


def failing(number: int) -> Any:
    """A fault: each inference from the `number`-th on is refused."""
    count = [0]

    def fault(asked: Asked, _: RightServer) -> Told | None:
        count[0] += asked.is_infer
        return Told(status=503, body=b'{"error": "no"}') if asked.is_infer and count[0] > number else None

    return fault


def test_failed_requests_are_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    """They are counted by status; with an SLO they break it."""
    words = ("--concurrency", "1", "--requests", "10")
    with serving(failing(4)) as url:
        found = asked(capsys, url, *words, code=ExitCode.FAILED)
    with serving(failing(4)) as url:
        broken = asked(capsys, url, *words, "--slo-ms", "5000", code=ExitCode.GOAL_NOT_MET)

    assert ({"200": 3, "503": 7}, 7) == (found["loads"][0]["statuses"], found["loads"][0]["failed"])
    assert not broken["met"]


def test_a_model_that_refuses_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what it said, and what to do; a request that is given is sent as it is."""
    with serving(failing(0)) as url:
        assert ExitCode.FAILED == dispatch(["bench", url])
    assert f'{MODEL}: an inference is answered 503 {{"error": "no"}}; say what it takes with --data' in (
        capsys.readouterr().err
    )
    entries = [
        {"name": "x", "datatype": "FP32", "shape": [2, 4], "data": [0.5] * 8},
        {"name": "n", "datatype": "INT64", "shape": [2, 4], "data": [3] * 8},
    ]
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"inputs": entries}))
    with serving() as url:
        found = asked(capsys, url, "--data", str(file), *QUICK)

    assert [[2, 4], [2, 4]] == [one["shape"] for one in found["inputs"]]


@pytest.mark.parametrize(
    "words, code, text",
    [
        ([], ExitCode.WRONG_SETTING, "name the server: hone-serve bench http://HOST:PORT"),
        (["http://192.0.2.1:8000"], ExitCode.WRONG_SETTING, "192.0.2.1 isn't this machine: --allow-remote says"),
        (["ftp://localhost"], ExitCode.WRONG_SETTING, "expected http://HOST:PORT, got ftp://localhost"),
        (["localhost", "--concurrency", "0"], ExitCode.WRONG_SETTING, "leaves nothing to measure: give a --rate"),
        (["localhost", "--concurrency", "1,x"], ExitCode.WRONG_SETTING, "--concurrency"),
        (["localhost", "--rate", "-1"], ExitCode.WRONG_SETTING, "--rate"),
        (["localhost", "--seconds", "1e9"], ExitCode.WRONG_SETTING, "--seconds"),
        (["localhost", "--slo-ms", "nan"], ExitCode.WRONG_SETTING, "--slo-ms"),
    ],
)
def test_wrong_options_are_named(
    words: list[str], code: ExitCode, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line before anything is sent, and exit code 2."""
    assert code == dispatch(["bench", *words])
    assert text in capsys.readouterr().err


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    """A server that isn't there is named."""
    url = f"http://127.0.0.1:{free_port()}"
    assert ExitCode.FAILED == dispatch(["bench", url])
    assert f"hone-serve: bench: {url} doesn't answer" in capsys.readouterr().err


def test_a_server_that_leaves_meanwhile_is_named() -> None:
    """What was measured before is told, then who doesn't answer any more."""
    bounds = Bounds(seconds=30, most=5, patience=5, seed=0)
    with serving() as url:
        target = discover(client_of(url, "bench"), None, Wanted(), 5)
        found = measure(target, requests_for(target, 0, binary=False), [Load(clients=1), Load(rate=50)], bounds)
        assert {"200": 5} == next(found).outcome.counts()
    with pytest.raises(UnreachableError, match=f"{url} doesn't answer any more: "):
        next(found)


def test_a_signal_ends_it_at_once() -> None:
    """In the midst of a measurement, whatever it is doing."""
    seen, many = [0], threading.Event()

    def counted(asked: Asked, _: RightServer) -> None:
        seen[0] += asked.is_infer
        if seen[0] > 50:
            many.set()

    with serving(counted) as url:
        command = [sys.executable, "-m", "service", "bench", url, "--requests", "1000000", "--seconds", "600"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            assert many.wait(30)
            process.send_signal(signal.SIGINT)
            assert 128 + signal.SIGINT == process.wait(10)


def test_over_tls(tmp_path: Path, require_tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every load, where the system vouches for the certificate; a server that nobody vouches for isn't loaded."""
    key, certificate = make_certificate(require_tool("openssl"), tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(tls=context) as url:
        command = [sys.executable, "-m", "service", "bench", url, *QUICK, "--rate", "50", "--json"]
        stranger = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusted = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (ExitCode.FAILED, "") == (stranger.returncode, stranger.stdout)
    assert "certificate verify failed" in stranger.stderr
    assert ExitCode.OK == trusted.returncode, trusted.stderr
    assert [one["requests"] for one in json.loads(trusted.stdout)["loads"]] == [
        one["statuses"]["200"] for one in json.loads(trusted.stdout)["loads"]
    ]


def test_another_machine_is_loaded_where_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Then it is asked as any other; here nobody has that name."""
    assert ExitCode.FAILED == dispatch(["bench", "http://nobody.invalid:1", "--allow-remote"])
    assert "http://nobody.invalid:1 doesn't answer" in capsys.readouterr().err


def test_drawn_inputs_are_the_models_still() -> None:
    """A seed gives the same again; fractions and pixels vary, numbers that may be indices don't."""
    entries = [
        {"name": datatype, "datatype": datatype, "shape": [-1, 5]}
        for datatype in ("FP32", "FP16", "BF16", "UINT8", "INT64", "BOOL", "BYTES")
    ]
    plain = made_up(entries, {})
    first, again, other = drawn(plain, 1), drawn(plain, 1), drawn(plain, 2)

    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.array, same.array)
    differs = {one.name for one, two in zip(first, other, strict=True) if (one.array != two.array).any()}
    assert {"FP32", "FP16", "BF16", "UINT8"} == differs
    assert [(one.array.shape, one.array.dtype) for one in plain] == [
        (one.array.shape, one.array.dtype) for one in first
    ]
