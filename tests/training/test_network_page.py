"""The page of a network's run: what it says, that it stands alone, and that a browser shows it."""

import base64
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer

from tests.training import network_reports
from tests.training.page_reader import Node, Reader, check_references, check_self_contained, seen
from training import network_page
from training.data.material import Material
from training.data.split import Dataset, Split
from training.data.tokenized import tokenize
from training.data.tokens import TokenizerSettings
from training.network_report import NetworkReport
from training.problems.problem import Example
from training.shown_input import shown_input

HOSTILE = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def material() -> Material:
    return network_reports.table()


@pytest.fixture(scope="module")
def report(material: Material) -> NetworkReport:
    return network_reports.report(material)


@pytest.fixture(scope="module")
def source(report: NetworkReport, material: Material) -> str:
    return network_page.render(report, material)


@pytest.fixture(scope="module")
def root(source: str) -> Node:
    return Reader(source).root


def cells(root: Node, section: str) -> list[list[str]]:
    return [
        [cell.text for cell in row.inside if isinstance(cell, Node)]
        for row in root.find("section", id=section).all("tr")
    ]


def test_the_answer_comes_first(root: Node, report: NetworkReport) -> None:
    """Family and goal, then the headline with its interval, and the best baseline."""
    figure, rival = (one.figures["accuracy"] for one in (report.judged.scores, *report.judged.baselines.values()))
    answer = root.find("p", **{"class": "answer"}).text
    assert "tumours goal met" == root.find("h1").text
    assert f"accuracy is {figure.value:.4g} (95 % interval {figure.low:.4g} to {figure.high:.4g})" in answer
    assert f"The best baseline, majority class, comes to {rival.value:.4g}" in answer
    assert "compared input by input, the network is better ." in answer


def test_a_missed_goal_is_no_success(report: NetworkReport, material: Material) -> None:
    """A missed goal is said at once, with what was asked; without baselines the page says that there are none."""
    alone = replace(network_reports.report(material, baseline=False), goal_met=False, goal="goal missed: asked is 1")
    page = Reader(network_page.render(alone, material)).root
    assert "tumours goal missed" == page.find("h1").text
    assert "goal missed: asked is 1" == page.find("p", **{"class": "lack"}).text
    assert "There is no baseline for this problem. Nothing is published." in page.find("p", **{"class": "answer"}).text
    assert report.best_baseline == "majority class"


def test_every_figure_stands_beside_the_baselines(root: Node, report: NetworkReport) -> None:
    """All figures of both, with intervals; and those of each class."""
    told = cells(root, "comparison")
    for name, figure in report.judged.scores.figures.items():
        (row,) = [row for row in told if row[0].startswith(f"{name} ")]
        assert row[0].endswith(f"{report.better[name]} is better")
        assert row[1].startswith(f"{figure.value:.4g} ")
    apart = report.judged.differences["majority class"]
    (row,) = [row for row in told if "in pairs" in row[0]]
    assert f"{apart.value:.4g} ({apart.low:.4g} to {apart.high:.4g}) better" == row[2]
    assert ["of", "precision", "recall", "f1", "auroc"] == cells(root, "parts")[0]
    assert ["malignant", "benign"] == [row[0] for row in cells(root, "parts")[1:]]


def test_confusions_and_curves_are_shown(root: Node, report: NetworkReport) -> None:
    """Every count of the matrix; an ROC curve and a calibration."""
    counts = [[int(cell.replace("·", "0")) for cell in row[1:]] for row in cells(root, "confusion")[1:]]
    assert [list(row) for row in report.judged.scores.confusion] == counts
    assert 2 == len(list(root.find("section", id="curves").all("svg")))


def test_errors_name_the_input(root: Node, report: NetworkReport, material: Material) -> None:
    """Each example says what was wanted and answered, and all features of its row by name."""
    figures = list(root.find("section", id="examples").all("figure"))
    assert len(report.judged.examples) == len(figures)
    first, row = report.judged.examples[0], material.dataset.test.inputs[report.judged.examples[0].place]
    assert f"is {first.wanted} , answered {first.answered}" in figures[0].text
    pills = [one.text for one in figures[0].all("span")]
    assert material.features == tuple(" ".join(text.split()[:-1]) for text in pills)
    assert f"{row[0]:.4g}" == pills[0].split()[-1]


def test_pictures_are_shown_pixel_by_pixel() -> None:
    """The picture of an example is exactly the test input."""
    material = network_reports.pictures()
    report = network_reports.report(material, right=0.5)
    shown = list(Reader(network_page.render(report, material)).root.find("section", id="examples").all("img"))
    assert len(report.judged.examples) == len(shown)
    content = base64.b64decode(shown[0].attributes["src"].partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    assert np.array_equal(material.dataset.test.inputs[report.judged.examples[0].place][0], pixels)


def test_no_error_is_said(report: NetworkReport, material: Material) -> None:
    """Without examples the page says so instead of showing an empty place."""
    page = Reader(network_page.render(network_reports.without_errors(report), material)).root
    assert "No error on 142 test inputs." in page.find("section", id="examples").text


def test_circumstances_are_told(root: Node, report: NetworkReport) -> None:
    """Diagnosis, findings, speed, config, machine, commit and settings."""
    text = root.text
    finding = f"Finding: {report.diagnosis.finding}"
    for told in (finding, "test: row 3 looks like row 4", "6,667 best", "AMD EPYC 9R14", "38a636b9a6e7"):
        assert told in text
    assert ["widths: - 32 - 16", "seed: 7 fit: epochs: 12"] == [one.text for one in root.all("pre")]


def test_the_page_stands_alone(source: str, report: NetworkReport, material: Material) -> None:
    """Nothing is fetched, references lead somewhere, the report is in it, and the same report gives the same page."""
    check_self_contained(source)
    check_references(source)
    (text,) = Reader(source).root.find("script", id="report").inside
    assert isinstance(text, str)
    assert json.loads(report.to_json()) == json.loads(text)
    assert source == network_page.render(report, material)


def test_hostile_text_stays_text(report: NetworkReport, material: Material) -> None:
    """Markup in a recipe, a feature or a finding makes no element."""
    features = tuple(f"{name}{HOSTILE}" for name in material.features)
    page = network_page.render(replace(report, about=HOSTILE, goal=HOSTILE), replace(material, features=features))
    root = Reader(page).root
    assert 1 == len(list(root.all("script")))
    assert HOSTILE == root.find("p", **{"class": "about"}).text


def split(inputs: np.ndarray) -> Split:
    return Split(inputs=inputs, targets=np.zeros(len(inputs), np.int64), sources=np.arange(len(inputs)))


def of(inputs: np.ndarray, files: Mapping[str, bytes]) -> Material:
    part = split(inputs)
    return Material(dataset=Dataset(train=part, validation=part, test=part, classes=("a",)), files=files)


def test_windows_are_plotted_and_ids_decoded() -> None:
    """A series is a small plot, a text is itself again, and ids without a tokenizer are numbers."""
    example = Example(place=1, wanted="a", answered="b", error=1.0)
    assert "<svg" in shown_input(example, of(np.ones((2, 12, 1), np.float32), {})).plot
    texts = np.array(["one two", "to be or not to be"], dtype=object)
    dataset = Dataset(train=split(texts), validation=split(texts), test=split(texts), classes=("a",))
    made = tokenize(dataset, TokenizerSettings(vocabulary=300), length=24)
    assert isinstance(made.tokenizer, Tokenizer)
    assert "to be or not to be" == shown_input(example, made.material(length=24)).text
    assert "5 6" == shown_input(example, of(np.array([[1, 2, 0], [5, 6, 0]]), {})).text


def test_a_browser_shows_it_at_phone_width(source: str, tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    """In a real browser, 360 pixels wide, nothing sticks out, no name covers another, and the console stays silent."""
    found = seen(source, tmp_path, require_tool("chromium"), labels="^(tumours|majority)")
    assert 360 >= found["visible"] == found["width"]
    assert found["height"] > 3000
    assert (2, 0) == (found["labels"], found["overlaps"])
