"""Locust itself, in processes of its own: every kind of user at a real server, gates, shapes, master and workers."""

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.headless import main
from loadtests.served import ROOT, Served, free_port, hone

FILE = ROOT / "loadtests" / "locustfile.py"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The committed digits, over HTTP and gRPC."""
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "models" / "digits", root / "digits")
    with hone(root, grpc=True) as server:
        yield server


def headless(*words: str) -> tuple[int, str]:
    """The exit code, and what was said."""
    command = [sys.executable, "-m", "loadtests.headless", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def locust(*words: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "locust", "-f", str(FILE), "--headless", "--only-summary", *words]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_every_kind_is_answered(served: Served, tmp_path: Path) -> None:
    """All four, rightly; the report and the figures are written, response times in full."""
    words = ["--url", served.url, "--grpc", served.grpc_target, "--users", "8", "--seconds", "2"]
    files = ["--html", str(tmp_path / "report.html"), "--csv", str(tmp_path / "run")]

    code, said = headless(*words, *files, "--max-p95-ms", "60000", "--max-error-ratio", "0")

    assert 0 == code, said
    with (tmp_path / "run_response_times.csv").open() as file:
        times = list(csv.DictReader(file))
    names = {one["name"] for one in times}
    assert {"infer json", "infer binary", "infer grpc", "predict png"} == names
    assert any(not float(one["milliseconds"]).is_integer() for one in times)
    assert f"all: {len(times):,} requests, p50 " in said
    assert "<html" in (tmp_path / "report.html").read_text()
    assert "infer grpc" in (tmp_path / "run_stats.csv").read_text()


def test_a_broken_gate_is_exit_code_4(served: Served, tmp_path: Path) -> None:
    """And is named, with what it was and what it may be. Arrivals come once a second from each user, until the trace's
    last row.
    """
    trace = tmp_path / "trace.csv"
    trace.write_text("second,arrivals\n0,30\n2,0\n")
    words = ["--kinds", "binary", "--shape", "replay", "--trace", str(trace), "--max-p95-ms", "0.01"]

    code, said = headless("--url", served.url, *words)

    assert 4 == code, said
    assert re.search(r"--max-p95-ms: the 95th percentile is [\d.]+ ms, above 0\.01", said)
    asked = int(said.split("infer binary: ")[1].split(" requests")[0])
    assert 15 <= asked <= 90


def test_gates_hold_at_a_master(served: Served) -> None:
    """Its worker asks; it judges what that reports, and ends with the gate's exit code."""
    port = str(free_port())
    words = ["--master-bind-port", port, "--expect-workers", "1", "--users", "4", "--spawn-rate", "4"]
    master = locust("--master", *words, "--run-time", "5s", "--host", served.url, "--max-p95-ms", "0.01", "JsonUser")
    worker = locust("--worker", "--master-port", port, "--loglevel", "ERROR")
    try:
        said = master.communicate(timeout=90)[0]
        assert 0 == worker.wait(20)
    finally:
        for process in (master, worker):
            process.kill()
            process.communicate()

    assert 4 == master.returncode, said
    assert "infer json: " in said
    assert "--max-p95-ms: the 95th percentile is" in said


@pytest.mark.parametrize(
    "words, code, text",
    [
        (["--url", "http://127.0.0.1:9"], 1, "http://127.0.0.1:9 doesn't serve model 'digits': "),
        (["--url", "http://127.0.0.1:9", "--kinds", "grpc"], 2, "GrpcUser needs --grpc-host HOST:PORT"),
        (["--url", "http://127.0.0.1:9", "--shape", "replay", "--trace", "gone.csv"], 2, "gone.csv: No such file"),
        (["--url", "localhost"], 2, "begin with http://"),
        (["--max-p95-ms", "soon"], 2, "--max-p95-ms"),
        (["--seconds", "0"], 2, "--seconds: 0: expected a whole number above 0"),
        (["--users", "-3"], 2, "--users: -3: expected a whole number above 0"),
    ],
)
def test_what_is_wrong_is_named(words: list[str], code: int, text: str) -> None:
    """One line before anything is sent; a server that isn't there is one, too."""
    found, said = headless(*words)

    assert code == found, said
    assert text in said


@pytest.mark.parametrize("words", [["--run-time", "0"], ["--users", "0"], ["--users", "-3"], ["--pace", "-1"]])
def test_what_locust_would_take_is_named_too(words: list[str]) -> None:
    """One line with the flag, where Locust alone would load without end, or ask nothing."""
    process = locust("--host", "http://127.0.0.1:9", *words)
    try:
        said = process.communicate(timeout=60)[0]
    finally:
        process.kill()

    assert 2 == process.returncode, said
    assert f"{words[0]}: {words[1]}" in said.splitlines()[-1]


def test_a_locust_that_does_not_end_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is killed, and nothing is proved."""
    monkeypatch.setattr("loadtests.headless.GRACE_SECONDS", -0.9)
    monkeypatch.setattr(sys, "argv", ["headless", "--url", "http://127.0.0.1:9", "--seconds", "1"])

    assert 1 == main()
    assert "loadtest: Locust hadn't ended after 0.1 seconds, and was killed\n" == capsys.readouterr().err
