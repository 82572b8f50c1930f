"""The peers: what they are sent, what is made of the pairs, and that each can be installed as it says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from loadtests import peers_report, results, wrk
from loadtests.contest import forecast, pairs_of
from loadtests.peers.assignment import Assignment
from loadtests.peers.environment import REQUIREMENTS, PeerError, pinned, prepare
from loadtests.peers.oip import Protocol
from loadtests.peers.peer import PEERS
from loadtests.peers.tally import Tally
from loadtests.peers_report import Measured, Pair
from loadtests.request import binary_request, json_request, output_of
from loadtests.rival import Alone
from loadtests.workloads.catalogue import W1, W2, W3, WORKLOADS
from tests.architecture.sources import ROOT

MOSEC = PEERS["mosec"]


def measured(server: str, cpu: float = 50.0, throughput: float = 1000.0, alone: float = 0.3) -> Measured:
    return Measured(
        server=server,
        cpu_micros=cpu,
        throughput=throughput,
        p50_ms=1.0,
        p99_ms=2.0,
        refused=0.0,
        alone_p50_ms=alone,
        run_p50_ms=0.1,
        mean_batch=8.0,
    )


def pair(ours: Measured, theirs: Measured, raw: float = 1000.0) -> Pair:
    return Pair(ours=ours, theirs=theirs, raw_rate=raw, raw_batch=16)


def assignment(*, binary: bool) -> Assignment:
    return Assignment(
        file="model.onnx",
        model="w1",
        input_name="x",
        datatype="FP32",
        input_dims=(2, 2),
        output_name="y",
        output_dims=(3,),
        binary=binary,
        threads=1,
        max_batch_size=8,
        port=1,
        tally="",
    )


@pytest.mark.parametrize("binary", [False, True])
def test_protocol_takes_hones_bodies(binary: bool) -> None:
    """A peer's program reads the very body that Hone is sent, and its answer echoes the id and names the output."""
    row = np.array([[[1.5, -2], [3, 4]]], np.float32)
    make = binary_request if binary else json_request
    protocol = Protocol(assignment(binary=binary))
    identity, found = protocol.decode(make("/", "me", "x", "FP32", row).body)
    answer = protocol.encode(identity, np.array([0.1, 0.2, 0.3], np.float32))

    assert "me" == identity
    assert row[0].tolist() == found.tolist()
    assert [[0.1, 0.2, 0.3]] == output_of(answer).tolist()
    assert ("me", "y") == (orjson.loads(answer)["id"], orjson.loads(answer)["outputs"][0]["name"])


def test_protocol_refuses_what_doesnt_fit() -> None:
    """Another name, datatype, shape or size is refused, as Hone does."""
    row = np.zeros((1, 2, 2), np.float32)
    protocol = Protocol(assignment(binary=False))
    good = orjson.loads(json_request("/", "me", "x", "FP32", row).body)
    protocol.decode(orjson.dumps(good))

    for change in ({"name": "z"}, {"datatype": "FP64"}, {"shape": [2, 2]}, {"data": [0.0]}):
        with pytest.raises(ValueError):
            protocol.decode(orjson.dumps({**good, "inputs": [{**good["inputs"][0], **change}]}))
    with pytest.raises(ValueError):
        protocol.decode(b"{}")


def test_peers_get_hones_body_where_they_take_it() -> None:
    """The same body goes to whoever speaks the protocol or takes raw bodies; who takes no binary body says so."""
    assert W1.request().body == MOSEC.requests(W1).body
    assert W2.request().headers == MOSEC.requests(W2).headers
    assert "/v2/models/w3/infer" == PEERS["mlserver"].requests(W3).path
    assert {"rows": W1.sample().tolist()} == orjson.loads(PEERS["bentoml"].requests(W1).body)
    with pytest.raises(PeerError, match="takes no binary body"):
        PEERS["litserve"].requests(W2)


@pytest.mark.parametrize("name", PEERS)
def test_requirements_are_pinned(name: str) -> None:
    """Every peer has its requirements file, with exact versions, and the runtime that Hone is locked to."""
    locked = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)

    assert all("==" in line for line in (REQUIREMENTS / f"{name}.txt").read_text().split())
    assert locked["onnxruntime"] == pinned(name)["onnxruntime"]
    assert PEERS[name].version() == next(iter(pinned(name).values()))


def test_installation_that_fails_says_why(tmp_path: Path) -> None:
    """A peer whose environment can't be made is an error with the reason, not a traceback."""
    with pytest.raises(PeerError, match="installation failed"):
        prepare("mosec", tmp_path, python="/nonexistent/python")


def test_turns_of_a_pair_are_added_up() -> None:
    """Processor time is per answered request of all turns, and refused ones are told as a share."""
    load = wrk.Load(requests=900, refused=100, seconds=1.0, rate=0.0, p50_ms=1.0, p99_ms=2.0)
    slow = wrk.Load(requests=600, refused=0, seconds=2.0, rate=330.0, p50_ms=3.0, p99_ms=4.0)
    found = Measured.of("hone", [load, slow], cpu=0.15, alone=Alone(request=0.3, run=0.1), mean_batch=8.0)

    assert 100 == pytest.approx(found.cpu_micros)
    assert (900 + 660) / 3 == found.throughput
    assert (0.0625, 2.0) == (found.refused, found.p50_ms)


def test_ratios_are_medians_of_pairs() -> None:
    """A ratio is taken within each pair before the median is, so a slow minute hits both sides."""
    pairs = [pair(measured("hone", cpu), measured("mosec", other, 800.0, 4.0)) for cpu, other in ((40, 50), (70, 100))]
    pairs.append(pair(measured("hone", 90), measured("mosec", 90, 800.0, 4.0)))
    found = peers_report.entry("W1", MOSEC, pairs)

    assert {"median": 0.8, "least": 0.7, "most": 1.0} == found["ratios"]["cpu_micros"]
    assert found["met"]
    assert not peers_report.entry("W1", MOSEC, [pair(measured("hone"), measured("mosec", alone=4.0))])["met"]
    even = pair(measured("hone"), measured("mosec"))
    assert peers_report.entry("W3", MOSEC, [even])["met"]
    assert not peers_report.entry("W3", MOSEC, [replace(even, raw_rate=1100.0)])["met"]
    assert not peers_report.entry("W3 chosen", MOSEC, [even])["met"]


def test_who_cant_take_part_is_listed_with_the_reason() -> None:
    """The section has a row for an absent peer that says why, and the verdicts of those that took part."""
    gone = peers_report.absent("W1", PEERS["ray"], "installation failed:\n no wheel", met=True)
    here = peers_report.entry("W1", MOSEC, [pair(measured("hone"), measured("mosec"))])
    text = peers_report.section({"W1": {"ray": gone, "mosec": here}})

    assert "| ray | installation failed: no wheel |" in text
    assert "| mosec | 1,000, 1,000 | **1.00** [1.00-1.00] | 50.0, 50.0 | **1.00** [1.00-1.00] |" in text
    assert "* W1 against mosec: throughput: 1, at least 1.15: **missed**." in text


def test_a_peers_batches_are_counted_across_processes(tmp_path: Path) -> None:
    """Whoever maps the file sees what was added to it."""
    tally = Tally.create(str(tmp_path / "tally"))
    there = Tally(str(tmp_path / "tally"))
    there.add(3)
    there.add(5)

    assert (2, 8) == tally.read()


def test_the_whole_comparison_takes_less_than_45_minutes() -> None:
    """With the defaults, once everything is installed; a peer that can't have a workload takes no time."""
    workloads = [one for one in WORKLOADS.values() if one.name != "W5"]
    seconds = sum(forecast(one, peer, pairs_of(one)) for one in workloads for peer in PEERS.values())

    assert 20 < seconds / 60 < 45
    assert 0 == forecast(W2, PEERS["litserve"], 8)


def test_comparisons_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each renews its own row; those of other peers and workloads stay, and so do those of a chosen runtime."""
    monkeypatch.setattr(results.write, "__kwdefaults__", {"folder": tmp_path, "title": ""})
    monkeypatch.setattr(results.twin, "__kwdefaults__", {"folder": tmp_path})
    even = pair(measured("hone"), measured("mosec"))
    for name, peer in (("W1", "mosec"), ("W1", "ray"), ("W3 chosen", "mosec"), ("W1", "mosec")):
        peers_report.write(name, peer, peers_report.entry(name, PEERS[peer], [even]))

    assert {"W1": ["mosec", "ray"], "W3 chosen": ["mosec"]} == {
        name: sorted(ones) for name, ones in peers_report.entries().items()
    }
    text = (tmp_path / "RESULTS.md").read_text()
    assert 3 == sum(line.startswith(("| mosec", "| ray")) for line in text.splitlines())
