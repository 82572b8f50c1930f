"""The search for a capacity: the bisection against servers whose capacity is known, verdicts, and what is written."""

import math
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from loadtests import capacity, capacity_report, results
from loadtests.bisection import Bracket, Capacity, Search, SearchError, Verdict, Window
from loadtests.capacity import Bench, Subject, judged
from loadtests.capacity_report import Run, Settings
from loadtests.served import ROOT, free_port
from service.client.outcome import Outcome
from tests.client.right_server import Asked, RightServer, Told, serving

SETTINGS = Settings(slo=0.25, percentile=99, seconds=0.2, rounds=2, seed=0)


def search(highest: float, *, spread: float = 0.0, seed: int = 0) -> Search:
    """At a simulated server that holds up to `highest`; with a spread, rates near it are held by chance."""
    chance = random.Random(seed)

    def window(rate: float, _: int) -> Window:
        likely = math.log(highest / rate) / spread if spread else math.inf * (highest - rate or -1)
        held = chance.random() < 1 / (1 + math.exp(-max(min(likely, 50), -50)))
        return Window(rate=rate, latency=0.1, verdict=Verdict.HELD if held else Verdict.BROKE, why="p99 1 s")

    return Search(window, least=1e-3, seed=seed)


@pytest.mark.parametrize("start", [0.3, 80, 99, 101, 5000])
def test_a_sharp_capacity_is_found(start: float) -> None:
    """From wherever it begins, the bracket holds the capacity and is as narrow as it should be."""
    found = search(100.0).bisect(start, step=1.5)

    assert found.held <= 100 <= found.broke
    assert found.broke / found.held <= 1.04


def test_intervals_cover_the_capacity_and_further_runs() -> None:
    """Where windows near the capacity are chance, 19 intervals in 20 or so hold it, and another run's figure."""
    runs = [Capacity.of(search(100.0, spread=0.05, seed=seed).brackets(60.0, 5)) for seed in range(400)]
    covered = sum(one.low <= 100 <= one.high for one in runs)
    repeated = sum(one.low <= other.rate <= one.high for one, other in pairwise(runs))

    assert covered >= 370
    assert repeated >= 370
    assert sorted(one.high / one.low for one in runs)[200] < 1.2


def test_a_server_that_holds_nothing_is_no_figure() -> None:
    """The search ends with what it has tried."""
    with pytest.raises(SearchError, match=r"not even 0\.\d+ requests per second are held: p99 1 s"):
        search(1e-9).bisect(50.0, step=1.5)


def test_windows_of_a_late_generator_are_discarded() -> None:
    """They don't vote; a rate at which all are late isn't held, and the figure is at least what was below it."""
    late = Window(rate=1, latency=0.1, verdict=Verdict.LATE, why="the generator sent 30.0 ms late")
    held = Window(rate=1, latency=0.1, verdict=Verdict.HELD)
    replies = [late, held, late, late, held]
    few = Search(lambda *_: replies.pop(0), least=0.1)
    many = Search(lambda rate, _: held if rate < 100 else late, least=0.1)

    assert few.holds(1)
    assert 5 == len(few.windows)
    bracket = many.bisect(30.0, step=1.5)
    assert bracket.held < 100 <= bracket.broke
    assert not bracket.is_measured
    with pytest.raises(SearchError, match=r"not even 0\.\d+ requests per second can be measured: the generator sent"):
        Search(lambda *_: late, least=0.1).bisect(1.0, step=1.5)


def test_a_hiccup_decides_nothing() -> None:
    """One window of three that broke doesn't break a rate."""
    replies = [Verdict.BROKE, Verdict.HELD, Verdict.HELD]
    found = Search(lambda rate, _: Window(rate=rate, latency=1, verdict=replies.pop(0)), least=0.1)

    assert found.holds(10)


def outcome(latencies: list[float], *, statuses: list[int] | None = None, lag: float = 0.001) -> Outcome:
    return Outcome(
        seconds=1.0,
        statuses=np.array(statuses or [200] * len(latencies), np.int16),
        latencies=np.array(latencies),
        lags=np.full(len(latencies), lag),
    )


@pytest.mark.parametrize(
    "found, verdict, why",
    [
        (outcome([0.1] * 99 + [0.3]), Verdict.HELD, "p99 100.0 ms"),
        (outcome([0.1] * 98 + [0.3] * 2), Verdict.BROKE, "p99 300.0 ms"),
        (outcome([0.1] * 1000, statuses=[200] * 999 + [503]), Verdict.BROKE, "failed: 1 503"),
        (outcome([0.1] * 100, lag=0.026), Verdict.LATE, "the generator sent 26.0 ms late"),
        (outcome([0.1] * 100, lag=0.024), Verdict.HELD, "p99 100.0 ms"),
        (outcome([]), Verdict.HELD, "p99 0.0 ms"),
    ],
)
def test_verdicts(found: Outcome, verdict: Verdict, why: str) -> None:
    """The percentile decides, one failed request breaks, and a late generator says nothing."""
    window = judged(found, 100.0, SETTINGS)

    assert verdict is window.verdict
    assert why in window.why


def test_failed_requests_are_infinitely_late() -> None:
    """A server that refuses what it can't do in time isn't faster for it."""
    assert math.inf == judged(outcome([0.1] * 100, statuses=[200] * 90 + [503] * 10), 1.0, SETTINGS).latency


def test_windows_of_a_real_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick one is held; after one that broke the server is asked until it answers."""
    body = b'{"inputs": []}'
    request = b"POST /v2/models/pair/infer HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    broken = [True]
    settings = replace(SETTINGS, slo=10.0)  # server and generator are one process here, and late by each other

    def fault(_: Asked, __: RightServer) -> Told:
        return Told(status=503 if broken[0] else 200)

    with serving(fault) as url:
        host, port = url.removeprefix("http://").split(":")
        bench = Bench(Subject(name="right", host=host, port=int(port), requests=[request]), settings, quiet=0.2)
        with pytest.raises(SearchError, match=r"no request was answered with 200 for 0\.2 s"):
            bench.window(50, 1)
        broken[0] = False
        assert Verdict.HELD is bench.window(50, 2).verdict
        monkeypatch.setattr(capacity, "CLOSED_SECONDS", 0.2)
        assert bench.closed_loop() > 10


def test_a_second_run_is_held_against_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row has both and says whether it came again; other settings begin anew; the picture is there."""
    monkeypatch.setattr(results.write, "__kwdefaults__", {"folder": tmp_path, "title": ""})
    monkeypatch.setattr(results.twin, "__kwdefaults__", {"folder": tmp_path})
    monkeypatch.setattr(results, "FOLDER", tmp_path)

    def row(rate: float, settings: Settings = SETTINGS) -> str:
        capacity_report.write("digits", made(rate), settings)
        lines = (tmp_path / "RESULTS.md").read_text().splitlines()
        return next(line for line in lines if line.startswith("| digits"))

    assert "| p99 250 ms | **1,000 [900-1,111]** |  |  | 0.50 | 3 (1) |" in row(1000)
    assert "| **1,050 [945-1,167]** | 1,000 [900-1,111] | yes |" in row(1050)
    assert "| **2,000 [1,800-2,222]** | 1,050 [945-1,167] | **no** |" in row(2000)
    assert "| **2,000 [1,800-2,222]** |  |  |" in row(2000, replace(SETTINGS, slo=0.1))
    assert (tmp_path / "results" / "capacity.png").read_bytes().startswith(b"\x89PNG")


def made(rate: float) -> Run:
    windows = [
        Window(rate=rate * 0.9, latency=0.1, verdict=Verdict.HELD),
        Window(rate=rate * 1.1, latency=math.inf, verdict=Verdict.BROKE),
        Window(rate=rate * 1.1, latency=0.2, verdict=Verdict.LATE),
    ]
    bracket = Bracket(held=rate * 0.99, broke=rate * 1.01)
    return Run.of(Capacity(rate=rate, low=rate * 0.9, high=rate / 0.9), [bracket], windows, closed=2 * rate)


def test_the_terminal_shows_every_rate() -> None:
    """With its windows' verdicts, and the figure below."""
    console = Console(width=100, record=True, quiet=True)
    console.quiet = False
    with console.capture() as said:
        capacity_report.show("digits", made(100), SETTINGS, console)

    assert "held 1" in said.get()
    assert "broke 1, late 1" in said.get()
    assert "digits: 100 [90-111] requests/s meet p99 250 ms" in said.get()


@pytest.mark.parametrize(
    "words, code, text",
    [
        (lambda: ["--url", f"http://127.0.0.1:{free_port()}"], 1, "doesn't answer"),
        (lambda: ["--url", "http://192.0.2.1"], 2, "192.0.2.1 isn't this machine: --allow-remote"),
        (lambda: ["--percentile", "100"], 2, "between 0 and 100"),
        (lambda: ["--targets", "W9"], 2, "invalid choice: 'W9'"),
    ],
)
def test_what_cannot_be_measured_is_named(words: Callable[[], list[str]], code: int, text: str) -> None:
    """In one line, with exit code 1 for a server that isn't there and 2 for a wrong option."""
    command = [sys.executable, "-m", "loadtests.capacity", *words()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert code == done.returncode, done.stderr
    assert text in done.stderr
