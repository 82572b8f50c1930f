"""What a search publishes: names, configs and cards, and that a service computes it by the runtime that was chosen."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from service.artifact.card import load_card
from service.artifact.config import parse_config
from tests.training import compression_reports as reports
from tests.training.imports.graphs import linear, saved
from training import serving
from training.compression.evidence.energy import Energy
from training.compression.search.budget import Budget
from training.compression.search.design import Design, Network
from training.compression_release import releases
from training.compression_report import CompressionReport
from training.publish import Release, publish
from training.runtime import OPENVINO_BF16
from training.specimens.file import FileSettings, FileSpecimen
from training.steps.journal import Journal
from training.timing import predict

DESIGNS = (Design(), Design(runtime=OPENVINO_BF16))
CHOSEN = DESIGNS[1].name


@pytest.fixture(scope="module")
def report() -> CompressionReport:
    """Of two variants, of which the one in bf16 by OpenVINO was chosen."""
    made = reports.report()
    tested = dict(zip((one.name for one in DESIGNS), list(made.tested.values())[:2], strict=True))
    evidence = dict(zip(tested, list(made.evidence.values())[:2], strict=True))
    rows = (made.rows[0], replace(made.rows[1], variant=CHOSEN, numbers="f32", runtime="openvino-bf16"))
    return replace(made, rows=rows, front=tuple(tested), chosen=CHOSEN, tested=tested, evidence=evidence)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Release]:
    """Both, of somebody's file."""
    folder = tmp_path_factory.mktemp("file")
    settings = FileSettings(name="rows", source=saved(linear(), folder, "rows.onnx"))
    with Journal(settings, folder / "runs", Console(quiet=True)) as journal:
        specimen = FileSpecimen(journal)
        return {one.name: specimen.release(one, specimen.floating(Network())) for one in DESIGNS}


def test_a_name_for_each_and_the_familys_last(report: CompressionReport, bare: dict[str, Release]) -> None:
    """What it was made from, whose copy the family's is, and by which runtime it is computed."""
    made = releases(report, bare, {}, DESIGNS)
    assert ["rows-teacher", f"rows-{CHOSEN}", "rows"] == [one.name for one in made]
    assert [None, "rows-teacher", "rows-teacher"] == [one.parent for one in made]
    assert [None, None, f"rows-{CHOSEN}"] == [one.chosen for one in made]
    configs = [parse_config(one.config, name=one.name) for one in made]
    assert ["onnxruntime", "openvino", "openvino"] == [one.backend for one in configs]
    assert [False, True, True] == ['string_value: "bf16"' in one.config for one in made]


def test_figures_are_single_and_evidence_has_the_rest(report: CompressionReport, bare: dict[str, Release]) -> None:
    """What isn't a number is no gauge, and energy is one where it could be read."""
    strange = replace(report.tested[CHOSEN], drop=math.inf)
    read = replace(report.evidence[CHOSEN], energy=Energy(joules=0.002, seconds=0.001))
    odd = replace(report, tested={**report.tested, CHOSEN: strange}, evidence={**report.evidence, CHOSEN: read})
    usual, changed = (releases(one, bare, {}, DESIGNS)[1] for one in (report, odd))
    assert changed.metrics.keys() ^ usual.metrics.keys() == {"drop", "energy_joules"}
    assert {"accuracy", "accuracy_low", "accuracy_high", "calibration_error"} < usual.metrics.keys()
    assert (2.5, 4.0, 0.0008) == pytest.approx(
        [usual.metrics[name] for name in ("speedup_compute", "shrink", "latency_p50_seconds")]
    )
    assert (12_000_000, 250_000) == (usual.metrics["memory_bytes"], usual.metrics["size_bytes"])
    search = usual.evidence["search"]
    assert (12.5, "time", report.verdict) == (search["minutes"], search["ended"], search["verdict"])
    assert {"low": 2.3, "high": 2.7} == pytest.approx(usual.evidence["validation"]["gain"]["intervals"]["compute"])
    assert usual.evidence["ran"]["missed"] == {"/norm": "no kernel for <it>"}


def test_cards_name_what_was_refuted(report: CompressionReport, bare: dict[str, Release]) -> None:
    """Where float is kept the family's model is the teacher's; what was refuted is published by its own name alone."""
    made = releases(replace(report, chosen="teacher", refuted=(CHOSEN,), budget=Budget()), bare, {}, DESIGNS)
    assert ["rows-teacher", f"rows-{CHOSEN}", "rows"] == [one.name for one in made]
    assert ("rows-teacher", None) == (made[-1].chosen, made[-1].parent)
    for one in made:
        search = one.evidence["search"]
        assert ("teacher", [CHOSEN]) == (search["chosen"], list(search["refuted"]))
        assert search["verdict"].endswith("teacher is chosen instead")


def test_a_service_computes_it(report: CompressionReport, bare: dict[str, Release], tmp_path: Path) -> None:
    """The family's model by OpenVINO, with what its card says to be read back."""
    made = releases(report, bare, {}, DESIGNS)
    for one in made:
        publish(tmp_path, one)
    (inputs,) = bare["teacher"].golden.inputs
    rows = {inputs: bare["teacher"].golden.inputs[inputs]}
    with serving.serving(tmp_path, [one.name for one in made]) as served:
        answers = {one.name: predict(served, one.name, rows) for one in made}
    for output, expected in answers["rows-teacher"].items():
        assert np.array_equal(answers["rows"][output], answers[f"rows-{CHOSEN}"][output])
        assert np.allclose(answers["rows"][output], expected, rtol=0.05, atol=0.05)
    card = load_card(tmp_path / "rows" / "1" / "card.json")
    assert (made[-1].metrics, f"rows-{CHOSEN}") == (card.metrics, card.chosen)
