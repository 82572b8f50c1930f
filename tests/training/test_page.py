import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from tests.training import reports
from tests.training.page_reader import Node, Reader, check_references, check_self_contained, seen
from training import page, plots, templates
from training.data.split import Dataset
from training.pictures import of_image
from training.recipe import Recipe
from training.report import Report
from training.verdict import Budget

HOSTILE = "</script><script>alert('&amp;')</script> \u2028 $x$"


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return reports.dataset()


@pytest.fixture(scope="module")
def report(recipe: Recipe, dataset: Dataset) -> Report:
    return reports.report(recipe, dataset)


@pytest.fixture(scope="module")
def source(report: Report, dataset: Dataset) -> str:
    return page.render(report, dataset)


@pytest.fixture(scope="module")
def root(source: str) -> Node:
    return Reader(source).root


@pytest.fixture(scope="module")
def hostile(report: Report, dataset: Dataset) -> tuple[Report, str]:
    """A report whose every text tries to break out of the page, and the page."""
    classes = tuple(f"{name}{HOSTILE}" for name in dataset.classes)
    evil = replace(
        report,
        recipe=replace(report.recipe, about=HOSTILE),  # a family can hold nothing of the kind
        fits={f"{step}{HOSTILE}": fitted for step, fitted in report.fits.items()},
        variants={
            f"{name}{HOSTILE}": replace(
                one, parent=HOSTILE, classes=dict(zip(classes, one.classes.values(), strict=True))
            )
            for name, one in report.variants.items()
        },
        verdict=replace(
            report.verdict, chosen=f"{report.verdict.chosen}{HOSTILE}", goal=HOSTILE, reasons={HOSTILE: HOSTILE}
        ),
        commit=HOSTILE,
    )
    return evil, page.render(evil, replace(dataset, classes=classes))


def rows(root: Node) -> list[list[str]]:
    """The comparison's rows: their heads, and a cell for each variant."""
    table = root.find("section", id="comparison").find("table")
    return [[cell.text for cell in row.inside if isinstance(cell, Node)] for row in table.all("tr")]


def test_the_answer_comes_first(root: Node) -> None:
    """The page begins with the family, whether its goal is met, the chosen variant, its accuracy and its gains."""
    header = root.find("header")

    assert "digits goal met" == header.find("h1").text
    assert (
        "digits-student was chosen. It gets 97.3 % of 3,600 test images right (95 % interval 96.7 to 97.8 %), "
        "is 2.60x smaller and computes 2.22x as fast as its teacher."
    ) == header.find("p", **{"class": "answer"}).text.replace(" .", ".").replace(" ,", ",")
    assert ["97.3 %", "0.46 MB", "0.298 ms", "6,186"] == [
        one.text for one in header.all("dd") if one.attributes.get("class") == "figure"
    ]


def test_a_missed_goal_is_no_success(recipe: Recipe, dataset: Dataset) -> None:
    """A missed goal is said before everything else, with what the nearest miss lacks; nothing is called chosen."""
    missed = reports.report(recipe, dataset, budget=Budget(min_accuracy=0.99))
    root = Reader(page.render(missed, dataset)).root

    assert "digits goal missed" == root.find("h1").text
    assert root.find("p", **{"class": "answer"}).text.startswith("No variant does what was asked")
    assert missed.verdict.goal == root.find("p", **{"class": "lack"}).text
    assert "chosen" not in {one.text for one in root.all("strong")}
    assert "nearest miss" in {one.text for one in root.all("strong")}


def test_a_teacher_alone(recipe: Recipe, dataset: Dataset) -> None:
    """A family of one variant has a page, which compares it with nothing."""
    alone = reports.report(recipe, dataset, budget=Budget(), only=("teacher",))
    root = Reader(page.render(alone, dataset)).root

    assert "It is the teacher itself." in root.find("p", **{"class": "answer"}).text
    assert [] == [row for row in rows(root) if row[0].startswith("against")]


def test_every_figure_is_in_the_comparison(root: Node) -> None:
    """Each variant has its column with accuracy, interval, paired test, size, times, throughput and gains."""
    expected = [
        ["", "digits-teacher", "digits-student", "digits-pruned", "digits-int8"],
        ["made from", "-", "digits-teacher", "digits-teacher", "digits-student"],
        ["accuracy, %", "97.6", "97.3", "89.4", "97.2"],
        ["95 % interval, %", "97.0 to 98.0", "96.7 to 97.8", "88.4 to 90.4", "96.6 to 97.7"],
        ["wrong, of 3,600 images", "88", "98", "380", "101"],
        ["file, MB", "1.20", "0.46", "0.30", "0.13"],
        ["computing one image, ms", "0.661", "0.298", "0.188", "0.331"],
        ["request of one image, p50 / p99 ms", "1.01 / 1.96", "0.65 / 1.38", "0.54 / 1.20", "0.68 / 1.43"],
        ["images per second, best batch", "2,914 at 32", "6,186 at 32", "9,407 at 32", "5,623 at 32"],
        ["images won / lost, paired test", "-", "30 / 40 p = 0.275", "5 / 297 p < 0.001 worse", "0 / 3 p = 0.250"],
        ["file, times smaller", "-", "2.60x", "3.99x", "3.52x"],
        ["computing one image, times as fast", "-", "2.22x", "3.53x", "0.90x slower"],
        ["request of one image, times as fast", "-", "1.61x", "2.26x", "0.95x slower"],
        ["images per second, times as many", "-", "2.17x", "3.46x", "0.88x slower"],
        ["file, times smaller", "-", "2.60x", "3.99x", "9.18x"],
        ["computing one image, times as fast", "-", "2.22x", "3.53x", "2.00x"],
    ]

    assert [] == [row for row in expected if row not in rows(root)]


def test_what_is_worse_than_its_parent_is_marked_in_words(root: Node, report: Report) -> None:
    """The slower and the worse variant say so beside their verdict, and every reason of the verdict is told."""
    verdict = next(row for row in rows(root) if row[0] == "verdict")

    assert ["not chosen", "chosen"] == verdict[1:3]
    assert ["not chosen worse than digits-teacher", "not chosen slower than digits-student"] == verdict[3:]
    assert [] == [reason for reason in report.verdict.reasons.values() if reason not in root.text]


@pytest.mark.parametrize(
    "factor, text", [(9.178, "9.18"), (1.0, "1.00"), (1.004, "1.00"), (0.9968, "0.9968"), (0.5, "0.50")]
)
def test_a_loss_never_looks_like_a_tie(factor: float, text: str) -> None:
    """A factor has two digits, but more where two would turn a loss into 1.00."""
    assert text == templates.times(factor)


def test_the_front_leaves_out_what_is_beaten(report: Report) -> None:
    """The Pareto front holds the variants that no other beats in time and accuracy, fastest first."""
    assert ["digits-pruned", "digits-student", "digits-teacher"] == plots.pareto_front(report.variants)


def test_percentiles_say_of_how_many_requests(root: Node) -> None:
    """Both tables with a p99 tell how many requests it is of, batch size by batch size."""
    comparison, speed = (root.find("section", id=one).find("table") for one in ("comparison", "speed"))
    teacher = speed.find("tbody").text

    assert "by 2,000 requests of one image" in comparison.find("caption").text
    assert teacher.startswith("digits-teacher 1 2,000 1.01 1.96 0.661")
    assert " 32 60 " in teacher


def test_classes_that_suffer_stand_out(root: Node) -> None:
    """A class that loses a point of F1 against the teacher shows how many, with a sign; the others show none."""
    table = root.find("section", id="classes").find("table")
    eight = next(row for row in table.all("tr") if row.inside and row.text.startswith("8 "))
    scores = [cell.text for cell in eight.all("td") if cell.attributes.get("class") == "loss"]

    assert ["93.8", "92.9", "77.2 ▼ 16.5", "92.6 ▼ 1.1"] == scores


def test_confusions_are_printed(root: Node, report: Report) -> None:
    """Each variant has its matrix with every count; what was never confused is a dot."""
    tables = [one for one in root.all("table") if one.attributes.get("class") == "confusion"]
    counts = [
        [[int(cell.text.replace("·", "0")) for cell in row.all("td")] for row in table.find("tbody").all("tr")]
        for table in tables
    ]

    assert [[list(row) for row in one.confusion] for one in report.variants.values()] == counts


def test_pictures_show_the_pixels(root: Node, report: Report, dataset: Dataset) -> None:
    """The picture of an error is exactly the test image, and its text names both classes and the confidence."""
    figures = list(root.find("section", id="errors").all("figure"))
    mistakes = [mistake for one in report.variants.values() for mistake in one.mistakes]

    assert len(mistakes) == len(figures)
    for figure, mistake in zip(figures, mistakes, strict=True):
        kind, _, data = figure.find("img").attributes["src"].partition(",")
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        text = f"is {mistake.label} , read as {mistake.answer} with {mistake.confidence * 100:.0f} %"
        assert "data:image/png;base64" == kind
        assert np.array_equal(dataset.test.inputs[mistake.image][0], pixels)
        assert figure.find("figcaption").text.startswith(text)


def test_colour_pictures_keep_their_channels() -> None:
    """An image of three channels is shown in colour."""
    image = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    png = base64.b64decode(of_image(image).partition(",")[2])

    assert np.array_equal(image.transpose(1, 2, 0), np.asarray(Image.open(io.BytesIO(png))))


def test_no_error_is_said(report: Report, dataset: Dataset) -> None:
    """A variant without an error says so instead of showing an empty row."""
    perfect = {name: replace(one, mistakes=()) for name, one in report.variants.items()}
    text = Reader(page.render(replace(report, variants=perfect), dataset)).root.find("section", id="errors").text

    assert len(perfect) == text.count("No error on 3,600 test images.")


def test_every_fit_has_its_curve(root: Node) -> None:
    """Each fit, even of one epoch, has a plot, and a caption with its best epoch, what that came to, and a finding."""
    captions = [one.text for one in root.find("section", id="learning").all("figcaption")]

    assert list(reports.FITS) == [text.split(" ")[0] for text in captions]
    assert captions[3].startswith(
        "prune-2 : 1 epoch, best is 1 with validation loss 2.309, accuracy 42.3 %. Finding: too few"
    )
    assert "Finding: fine ; validation follows training; the kept weights' loss is 0.1 on training data" in captions[0]


def test_method_and_settings_are_told(root: Node) -> None:
    """The page says with which recipe, on which machine and from which commit, and holds all settings."""
    text = root.find("section", id="method").text
    told = ("profile tiny, seed 7", "AMD EPYC 9R14 (x86_64), 2 cores", "avx512_vnni", "onnxruntime\xa01.31.1")

    assert [] == [one for one in (*told, "38a636b9a6e7+") if " ".join(one.split()) not in text]
    assert "min_accuracy: 0.9" in root.find("pre").text


def test_nothing_is_fetched(source: str) -> None:
    """The page refers to nothing outside of it: only to its own elements and to data inside."""
    check_self_contained(source)


def test_references_lead_somewhere(source: str) -> None:
    """No two elements share an id, and whatever is referred to by id is there."""
    check_references(source)


def test_plots_are_whole(source: str) -> None:
    """Every plot is well-formed, has its text as text, and takes all of its colours from the page."""
    drawn = re.findall("<svg.*?</svg>", source, re.DOTALL)

    assert 3 + len(reports.FITS) == len(drawn)
    for one in drawn:
        assert {"compute time of one image, ms", "images in a request", "epoch"} & set(labels(one))
        assert [] == re.findall("#[0-9a-f]{6}[;\"']", one)


def labels(svg: str) -> list[str]:
    return [" ".join((text.text or "").split()) for text in ET.fromstring(svg).iter("text")]


def test_hostile_text_stays_text(hostile: tuple[Report, str]) -> None:
    """Markup in a recipe, a name, a class or a step is shown as it is written, and makes no element."""
    root = Reader(hostile[1]).root
    shown = " ".join(HOSTILE.split())

    assert 1 == len(list(root.all("script")))
    assert shown == root.find("p", **{"class": "about"}).text
    assert f"digits-int8{shown}" in root.find("thead").text
    assert any(shown in text for text in labels(re.findall("<svg.*?</svg>", hostile[1], re.DOTALL)[0]))


def test_machines_read_the_page_too(hostile: tuple[Report, str]) -> None:
    """The element `report` holds the report's JSON, whatever texts are in it."""
    evil, source = hostile
    (text,) = Reader(source).root.find("script", id="report").inside

    assert isinstance(text, str)
    assert json.loads(evil.to_json()) == json.loads(text)


def test_the_same_report_gives_the_same_page(report: Report, source: str, dataset: Dataset) -> None:
    """Nothing on the page depends on when or how often it is made, and it is no larger than it has to be."""
    assert source == page.render(report, dataset)
    assert 500_000 > len(source.encode())


def test_a_browser_shows_it_at_phone_width(
    source: str, tmp_path: Path, require_tool: Callable[[str], str], report: Report
) -> None:
    """In a real browser, 360 pixels wide, nothing sticks out, no name covers another, and the console stays silent."""
    found = seen(source, tmp_path, require_tool("chromium"), labels="^digits-")

    assert 360 >= found["visible"] == found["width"]
    assert found["height"] > 3000
    assert (len(report.variants), 0) == (found["labels"], found["overlaps"])
    assert sum(len(one.mistakes) for one in report.variants.values()) == found["pictures"]
