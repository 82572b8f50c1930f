"""The bench of compression: what becomes of a small model, what is judged, told and merged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests import bench_compression, compression_report
from loadtests.compression import variants
from loadtests.compression.race import batched, race
from loadtests.compression.subjects import SUBJECTS, Subject
from loadtests.compression.target import Target
from loadtests.compression.variants import remark
from loadtests.peers import environment
from loadtests.peers.environment import PeerError
from loadtests.workloads import mlp


def write(path: Path) -> None:
    path.write_bytes(mlp.build())


MLP = Subject(
    name="small",
    title="small MLP",
    input="x",
    write=write,
    draw=lambda random: random.standard_normal((1, mlp.WIDTHS[0]), np.float32),
    samples=16,
    targets=(
        Target(numbers="INT8", batch=8, faster=0.001),
        Target(numbers="bf16", batch=8, faster=1000.0, error=0.5),
        Target(numbers="INT8", batch=8, faster=0.001, error=0.0),
    ),
)


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the bench makes of a small model where Olive can't be installed."""

    def refused(*_: object) -> Path:
        raise PeerError("installation failed: no such distribution")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "prepare", refused)
        patch.setattr(bench_compression, "TURN_SECONDS", 0.001)
        return bench_compression.measure(MLP, tmp_path_factory.mktemp("peers"), threads=1, rounds=2)


def test_every_variant_is_made_timed_and_compared(entry: dict[str, Any]) -> None:
    """Each has rounds at every batch size and an error; what a tool can't make says why and stands beside the rest."""
    found = {one["name"]: one for one in entry["variants"]}
    assert list(found) == [one.name for one in variants.VARIANTS]
    for one in found.values():
        if one["tool"] == variants.OLIVE:
            assert (one["failed"], one["seconds"]) == ("installation failed: no such distribution", {})
            continue
        assert {size: len(turns) for size, turns in one["seconds"].items()} == {"1": 2, "8": 2, "16": 2}
        assert one["error"] < (1e-5 if one["numbers"] == "float" else 0.1)
    assert found["static"]["bytes"] < found["float"]["bytes"] / 3
    assert found["static"]["error"] < found["static, 7-bit weights"]["error"]


def test_targets_are_judged_by_the_fastest_that_is_near_enough(entry: dict[str, Any]) -> None:
    """Only Hone's own count, in the numbers that were asked for; none may be near enough."""
    easy, hard, exact = entry["targets"]
    assert easy["met"]
    assert easy["fastest"] in {one.name for one in variants.VARIANTS if one.numbers == "INT8"}
    assert (hard["met"], hard["fastest"]) == (False, "float, openvino-bf16")
    assert (exact["met"], exact["fastest"]) == (False, None)


def test_rows_merge(entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A model that is measured anew leaves the others; the section has targets, the other tools, and all variants."""
    monkeypatch.setattr(compression_report, "FOLDER", tmp_path)
    compression_report.write({**entry, "name": "other", "title": "other MLP", "targets": []})
    compression_report.write(entry)
    told = (tmp_path / "RESULTS.md").read_text()
    assert "| small MLP | INT8: 0.001x at batch 8 |" in told
    assert "| small MLP | bf16: 1000.0x at batch 8, error under 50% | float, openvino-bf16 |" in told
    assert "| small MLP | INT8: 0.001x at batch 8, error under 0% | none |  |  | missed |" in told
    assert "| other MLP | float is kept where INT8 is slower |" in told
    assert "| small MLP, 8 | Olive | none |" in told
    assert "**other MLP** (" in told
    twin = json.loads((tmp_path / "results" / "compression.json").read_text())
    assert ["other", "small"] == list(twin["models"])


def test_the_exit_code_says_whether_targets_were_met(
    entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And a quick run writes nothing."""
    monkeypatch.setattr(compression_report, "FOLDER", tmp_path)
    monkeypatch.setattr(bench_compression, "measure", lambda *_, **__: entry)
    monkeypatch.setattr("sys.argv", ["bench_compression", "mlp", "--quick"])
    assert bench_compression.main() == 1
    entry = {**entry, "targets": entry["targets"][:1]}
    assert bench_compression.main() == 0
    assert not list(tmp_path.iterdir())


def test_all_take_turns() -> None:
    """There and back again, so that drift hits all alike; the first call of a turn isn't timed."""
    heard: list[str] = []

    def answer(name: str) -> Any:
        return lambda arrays: heard.append(f"{name}{len(arrays[0])}")

    found = race(batched({"a": answer("a"), "b": answer("b")}, [np.zeros((1, 3))], [1, 2]), rounds=2, seconds=0)
    assert heard == ["a1", "a1", "b1", "b1", "b1", "b1", "a1", "a1", "a2", "a2", "b2", "b2", "b2", "b2", "a2", "a2"]
    assert all(len(turns) == 2 for sizes in found.values() for turns in sizes.values())


def test_what_tools_say_of_speed() -> None:
    """A warning, latencies or nothing."""
    assert remark("S8S8 with QOperator will be SLOW on x86-64") == "a warning"
    assert remark('"latency-avg": 0.00898') == "latencies"
    assert remark("Please consider to run pre-processing before quantization.") == "nothing"


def test_the_same_seed_draws_the_same_inputs() -> None:
    """What ranges are learnt from isn't what answers are compared on."""
    subject = SUBJECTS["lstm"]
    one, same, other = (subject.rows(2, seed) for seed in (1, 1, 2))
    assert one.shape == (2, 32, 64)
    assert (one == same).all()
    assert (one != other).any()
