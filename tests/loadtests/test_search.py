"""The bench of the compression search: one search from the command line to the tables, what is judged and merged."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from loadtests import bench_search, search_report
from loadtests.compression.race import Arrays, Turn
from loadtests.peers import environment
from loadtests.peers.environment import PeerError
from loadtests.search import paces, rivals
from loadtests.search.beside import BATCHES, PREFILL, ROWS, STEP, works
from loadtests.search.cases import CASES, Wanted
from loadtests.search.searched import Searched, SearchError, search
from service.artifact.signature import Signature, TensorSpec
from training.recipe import load_any

WANTED = Wanted(faster=0.01, smaller=2, batch=8, max_drop=0.1)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What the bench came to: its exit code, the rows of both kinds, and the text of the section."""

    code: int
    searches: Mapping[str, Any]
    rivals: Mapping[str, Any]
    text: str


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A quick run on a perceptron that is to become small, where no other tool can be installed."""
    folder, section = tmp_path_factory.mktemp("search"), search_report.section
    kept: list[tuple[Mapping[str, Any], Mapping[str, Any], str]] = []

    def refused(*_: object) -> Path:
        raise PeerError("installation failed: no such distribution")

    def keep(searches: Mapping[str, Any], others: Mapping[str, Any]) -> str:
        kept.append((searches, others, section(searches, others)))
        return kept[-1][-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "prepare", refused)
        patch.setattr(bench_search, "TURN_SECONDS", 0.001)
        patch.setitem(CASES, "mlp", replace(CASES["mlp"], objective="size", wanted=WANTED))
        patch.setattr(search_report, "FOLDER", folder)
        patch.setattr(search_report, "section", keep)
        patch.setattr("sys.argv", ["bench_search", "--quick", "mlp", "rivals-mlp"])
        code = bench_search.main()
    assert not list(folder.iterdir())  # a quick run writes nothing
    ((searches, others, text),) = kept
    return Ran(code=code, searches=searches, rivals=others, text=text)


def test_a_search_is_measured_again_and_judged(ran: Ran) -> None:
    """The chosen file beside the teacher's in every round at every batch size; size and loss are the search's own."""
    entry = ran.searches["mlp"]
    assert (entry["met"], ran.code) == (True, 0)
    assert "teacher" in entry["tested"]
    assert entry["tested"][entry["chosen"]]["gain"]["size"] > 2
    for file in ("teacher", "chosen"):
        rounds = entry["turns"][file][ROWS]
        assert {str(size) for size in BATCHES} == set(rounds)
        assert all(2 == len(turns) and turns[0]["seconds"] > 0 for turns in rounds.values())
    assert {"teacher-static", "teacher-dynamic"} < {one["variant"] for one in entry["forms"]}


def test_what_others_make_stands_beside_it(ran: Ran) -> None:
    """Hone's file is as near to the float one as it was allowed to be; a tool that isn't there says why."""
    given, ours, *others = ran.rivals["rivals-mlp"]["contenders"]
    assert (given["name"], given["lost"]) == ("float", 0)
    assert (ours["allowed"], ours["tool"]) == (rivals.MAX_DROP, "Hone")
    assert set(ours["seconds"]) == {"1", "8", "32"}
    assert {one["failed"] for one in others} == {"installation failed: no such distribution"}
    assert [one["tool"] for one in others] == ["Olive", "optimum-onnx", "optimum-onnx"]


def test_the_section_tells_all_of_it(ran: Ran) -> None:
    """What was asked and came of it, in the service and alone, and who made what of the same file."""
    chosen = ran.searches["mlp"]["chosen"]
    asked = "0.01x as fast at batch 8, at most 10% lost, 2x as small"
    assert f"| MLP 64-256-256-10, random weights | {asked} | {chosen} |" in ran.text
    assert f"| MLP 64-256-256-10, random weights | {chosen} | fidelity 0." in ran.text
    assert f"model (file), {ran.searches['mlp']['date']}" in ran.text
    assert "| Olive search: failed: installation failed: no such distribution |" in ran.text


def test_a_target_asks_for_speed_size_and_accuracy(ran: Ran) -> None:
    """One of them alone is no help."""
    entry = dict(ran.searches["mlp"])

    def met(**changes: Any) -> bool:
        return search_report.met(entry, replace(WANTED, **changes))

    assert met()
    assert not met(faster=1000.0)
    assert not met(smaller=100.0)
    assert not met(max_drop=0.0)


def test_each_may_have_the_batch_that_suits_it() -> None:
    """Where no batch is named; a range is that of ratios within rounds."""

    def turns(*seconds: float) -> list[dict[str, float]]:
        return [{"seconds": one, "cpu": one} for one in seconds]

    entry = {
        "turns": {
            "teacher": {ROWS: {"1": turns(1.0, 1.0), "8": turns(16.0, 16.0)}},
            "chosen": {ROWS: {"1": turns(0.5, 1.0), "8": turns(2.0, 1.0)}},
        }
    }
    assert [2.0, 1.0] == paces.ratios(entry, 1).tolist()
    assert [8.0, 16.0] == paces.ratios(entry, 8).tolist()
    assert [4.0, 8.0] == paces.ratios(entry, None).tolist()


def test_a_small_perceptron_should_stay_in_float(ran: Ran) -> None:
    """Nothing is asked of it, so nothing is missed; what integers came to is listed."""
    entry = {**ran.searches["mlp"], "met": None, "wanted": None}
    assert f"not float: {entry['chosen']}" == search_report.judged(entry)
    assert "float is kept" == search_report.judged({**entry, "chosen": "teacher"})
    text = search_report.section({"mlp": entry}, {})
    assert "| float is kept where integers lose |" in text
    assert "| MLP 64-256-256-10, random weights | teacher-static |" in text


def test_rows_merge(ran: Ran, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is measured anew leaves the rest; whether a teacher is padded is told where that is known."""
    monkeypatch.setattr(search_report, "FOLDER", tmp_path)
    padding = {"padded": False, "half": {"widths": [8, 4]}, "difference": 0.005}
    search_report.write({"other": {**ran.searches["mlp"], "title": "other", "ladder": padding}}, {})
    search_report.write({}, ran.rivals)
    told = (tmp_path / "RESULTS.md").read_text()
    assert "The teacher is not padded: the best of half its size or less (8-4) comes to -0.50 points." in told
    twin = json.loads((tmp_path / "results" / "search.json").read_text())
    assert (["other"], ["rivals-mlp"]) == (list(twin["searches"]), list(twin["rivals"]))


def test_another_file_than_was_measured_is_refused(tmp_path: Path) -> None:
    """Its size is known from the search; the first form of a network is what was exported."""
    row = SimpleNamespace(variant="pruned25", network="pruned25", numbers="f32", runtime="openvino")
    report: Any = SimpleNamespace(rows=[row], tested={"pruned25": SimpleNamespace(size=3)})
    found = Searched(report=report, folder=tmp_path)
    folder = tmp_path / "export-pruned25"
    folder.mkdir()
    (folder / "formed.json").write_text('{"tagger": {}, "other": {}}')
    with pytest.raises(SearchError, match="holds no file of 3 bytes that was measured as pruned25"):
        found.file("pruned25")
    (folder / "tagger.onnx").write_bytes(b"abc")
    assert ("tagger.onnx", "openvino") == (found.file("pruned25").path.name, str(found.file("pruned25").runtime))


def test_a_search_that_fails_says_so(tmp_path: Path) -> None:
    """By its exit code; what it said stands on the screen already."""
    with pytest.raises(SearchError, match="hone-train compress nothing ended with"):
        search(replace(CASES["pages"], model="nothing"), tmp_path)


class Watched:
    """A decoder with two layers and a cache for ten tokens, which only keeps what it was given. Implements Backend."""

    runtime = "none"
    signature = Signature(
        inputs=(
            TensorSpec(name="input_ids", datatype="INT64", dims=("batch", "tokens")),
            TensorSpec(name="past", datatype="FP32", dims=("batch", 2, 2, 1, 10, 4)),
            TensorSpec(name="position", datatype="INT64", dims=("batch", 1)),
        ),
        outputs=(),
    )

    def __init__(self) -> None:
        self.given: list[Arrays] = []

    def run(self, names: object, inputs: Arrays, outputs: object) -> Arrays:
        self.given.append(inputs)
        return []


def test_a_decoder_writes_with_half_a_cache_and_reads_that_half() -> None:
    """A token after five that were read, or the five at once."""
    backend: Any = Watched()
    found = works(backend, 1)
    assert {(kind, size) for kind in (STEP, PREFILL) for size in BATCHES} == set(found)
    for kind, tokens, position in ((STEP, 1, 5), (PREFILL, 5, 0)):
        found[kind, 8]()
        ids, past, at = backend.given.pop()
        assert ((8, tokens), (8, 2, 2, 1, 10, 4)) == (ids.shape, past.shape)
        assert (np.unique(at).tolist(), ids.dtype, past.dtype) == ([position], np.int64, np.float32)


def test_the_recipes_of_the_targets_are_there() -> None:
    """By the names and the lengths that the bench asks for."""
    network: Any = load_any(CASES["gru256"].model, "quick").network
    assert ("gru", 256) == (network.cell, network.width)
    assert [128, 48, 1, 128] == [CASES[name].length("quick") for name in ("code-tags", "pages", "digits", "gru256")]
    assert 1 == CASES["mlp"].length("quick")


def test_turns_are_kept_by_kind_and_rows() -> None:
    """As JSON has them."""
    found = paces.by_kind({(STEP, 1): [Turn(seconds=2.0, cpu=1.0)], (STEP, 8): []})
    assert {STEP: {"1": [{"seconds": 2.0, "cpu": 1.0}], "8": []}} == found
