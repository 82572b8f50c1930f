"""The page of a search, and what is said of it in a line."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.training.compression_reports import CLASSES, UNREADABLE, faster, report
from tests.training.page_reader import Node, Reader, check_references, check_self_contained, seen
from training import compression_page
from training.bootstrap import Figure
from training.compression.pruning.masks import NO_SPEED
from training.compression.search.budget import Budget
from training.compression_report import CompressionReport
from training.compression_table import print_compression
from training.gain import Gain


@pytest.fixture(scope="module")
def source() -> str:
    return compression_page.render(report())


@pytest.fixture(scope="module")
def root(source: str) -> Node:
    return Reader(source).root


def cells(root: Node, section: str) -> list[list[str]]:
    return [
        [cell.text for cell in row.inside if isinstance(cell, Node)]
        for row in root.find("section", id=section).all("tr")
    ]


def printed(one: CompressionReport) -> list[str]:
    """The lines in a terminal."""
    console = Console(file=io.StringIO(), width=120, markup=False)
    print_compression(one, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def stands(one: CompressionReport) -> bool:
    """Whether the test part leaves the chosen one standing."""
    return one.tested[one.chosen].stands(one.budget, one.tested["teacher"], smaller=one.smaller)


def test_it_stands_alone(source: str) -> None:
    """Nothing is fetched, whatever texts are in it, and the same report gives the same page."""
    check_self_contained(source)
    check_references(source)
    assert source == compression_page.render(report())
    (text,) = Reader(source).root.find("script", id="report").inside
    assert isinstance(text, str)
    assert json.loads(report().to_json()) == json.loads(text)


def test_what_was_chosen_comes_first_with_what_it_costs(root: Node) -> None:
    """And a warning of the class that fell, though the headline is within the budget."""
    header = root.find("header").text
    assert "teacher-static gains most of those that lose at most 1.00 %" in header
    assert "goal met by teacher-static: 2.50x [2.30-2.70] by latency, accuracy 0.8964, 0.40% lost" in header
    assert "; but on the test part the recall of <owl> went from 0.9 to 0.65, beyond chance." in header
    assert "The time was up" in header


def test_what_the_shares_leave_out_is_named() -> None:
    """Layers of which nobody knows how often they multiply, on the page and on the terminal."""
    found = report()
    told = replace(found.evidence[found.chosen], uncounted=("If choice", "Loop steps"))
    page = compression_page.render(replace(found, evidence={**found.evidence, found.chosen: told}))
    said = "multiplied in: 100% integer; not counted: If choice, Loop steps"
    assert said in Reader(page).root.find("section", id="evidence").text
    assert str(told).startswith(said)


def test_why_figures_say_little_is_part_of_the_verdict() -> None:
    """So it stands on the terminal, on the page, in the JSON and on cards."""
    doubtful = replace(report(), doubt="rows.npz has 2 rows")
    assert "0.40% lost; but rows.npz has 2 rows; but on the test part" in doubtful.verdict
    assert doubtful.verdict in Reader(compression_page.render(doubtful)).root.find("header").text


def test_no_warning_where_nothing_fell_beyond_chance() -> None:
    """An interval that touches zero says nothing."""
    assert "beyond chance" in report(fell=0.03).verdict
    assert "beyond chance" not in report(fell=0.02).verdict


def test_beside_no_error_any_is_more() -> None:
    """Of one class the teacher had none, of which no share can be told."""
    found = report()
    chosen = found.tested[found.chosen]
    assert chosen.against_teacher is not None
    errors = {**chosen.by["recall"], "<owl>": Figure(value=0.25, low=0.2, high=0.3)}
    worse = replace(
        chosen.against_teacher,
        slices={**chosen.against_teacher.slices, "<owl>": Figure(value=0.25, low=0.2, high=0.3)},
    )
    tested = {**found.tested, found.chosen: replace(chosen, by={"recall": errors}, against_teacher=worse)}
    assert "of <owl> went from 0 to 0.25, beyond chance" in replace(found, smaller=True, tested=tested).verdict


def test_the_test_part_may_refute_what_validation_said() -> None:
    """Where more is lost than may be: by chance, which is told, or beyond it, and then the goal is missed."""
    found = report(fell=0.0)
    chosen = replace(found.tested[found.chosen], drop=0.03)
    unsure = replace(found, tested={**found.tested, found.chosen: chosen})
    assert stands(unsure)
    assert unsure.verdict.endswith("; but on the test part 3.00% lost, which may be chance")
    assert chosen.against_teacher is not None
    worse = replace(chosen, against_teacher=replace(chosen.against_teacher, verdict="worse"))
    assert stands(replace(found, tested={**found.tested, found.chosen: replace(worse, drop=0.01)}))
    missed = replace(found, tested={**found.tested, found.chosen: worse}, met=False)
    assert not stands(missed)
    assert missed.verdict.startswith("goal missed by teacher-static: 2.50x")
    assert missed.verdict.endswith("; but on the test part 3.00% lost, worse than the teacher beyond chance")


@pytest.mark.parametrize("value, standing", [(0.95, True), (1.2, False)])
def test_without_pairs_the_interval_decides(value: float, *, standing: bool) -> None:
    """Of errors here, of which the teacher has 0.9: what is made of noise can't be compared input by input."""
    found = report(fell=0.0)
    teacher = replace(found.tested["teacher"], figure=Figure(value=0.9, low=0.85, high=0.95))
    chosen = replace(
        found.tested[found.chosen],
        figure=Figure(value=value, low=value - 0.05, high=value + 0.05),
        drop=value / 0.9 - 1,
        against_teacher=None,
    )
    unpaired = replace(found, smaller=True, tested={**found.tested, "teacher": teacher, found.chosen: chosen})
    assert standing == stands(unpaired)
    assert ("which may be chance" in unpaired.verdict) == standing


@pytest.mark.parametrize(
    "gain, standing, told",
    [
        (faster(2.5), True, "lost"),
        (faster(0.9), True, "timed again 0.90x [0.70-1.10] by latency, which may be nothing, less than is asked"),
        (faster(0.7), False, "timed again 0.70x [0.50-0.90] by latency, surely less than is asked"),
    ],
)
def test_timing_it_again_may_refute_what_was_gained(gain: Gain, told: str, *, standing: bool) -> None:
    """Whatever was chosen was the fastest of many, and partly by luck."""
    found = replace(report(fell=0.0), budget=Budget())
    again = replace(found, tested={**found.tested, found.chosen: replace(found.tested[found.chosen], gain=gain)})
    assert standing == stands(again)
    assert again.verdict.endswith(told)


def test_what_was_refuted_is_told_with_what_is_chosen_instead() -> None:
    """By its gain, by what it loses, or because it couldn't be measured: in the verdict, on the page and as data."""
    found = replace(report(fell=0.0), chosen="teacher", refuted=("teacher-static",), budget=Budget(max_drop=0.01))
    refuted = found.tested["teacher-static"]
    assert refuted.against_teacher is not None
    slow = replace(refuted, gain=faster(0.7))
    bad = replace(refuted, drop=0.03, against_teacher=replace(refuted.against_teacher, verdict="worse"))
    gained, dropped = "gained 2.50x, timed again on the test part 0.70x", "had 0.40% lost, on the test part 3.00% lost"
    by = {gained: slow, dropped: bad, f"{gained}, and {dropped}": replace(bad, gain=slow.gain)}
    for said, tested in by.items():
        told = replace(found, tested={**found.tested, "teacher-static": tested})
        kept = "goal met by teacher: 1.00x by latency, accuracy 0.9, nothing lost"
        assert f"{kept}; teacher-static {said}: refuted; teacher is chosen instead" == told.verdict
        assert told.verdict == json.loads(told.to_json())["verdict"]
        assert "teacher-static" == json.loads(told.to_json())["refuted"][0]
        page = Reader(compression_page.render(told)).root
        header = page.find("header").text
        assert told.verdict in header
        assert "teacher gains most of those that lose at most 1.00 % of the accuracy and aren" in header
        assert ["teacher-static * refuted"] == [
            " ".join(one[0].split()) for one in cells(page, "trials") if "refuted" in one[0]
        ]
        assert any(line.endswith(told.verdict) for line in printed(told))
    unmeasured = replace(found, tested={"teacher": found.tested["teacher"]})
    assert "; teacher-static couldn't be measured on the test part: refuted; teacher is" in unmeasured.verdict


def test_where_all_are_refuted_the_first_misses_the_goal() -> None:
    """It is told as ever, and the others behind it."""
    found = replace(report(fell=0.0), met=False, refuted=("teacher-static", "student25"))
    tested = {name: replace(one, gain=faster(1.2, 0.1)) for name, one in found.tested.items() if name != "teacher"}
    told = replace(found, tested={**found.tested, **tested}).verdict
    assert told.startswith("goal missed by teacher-static: 2.50x")
    again = "but timed again 1.20x [1.10-1.30] by latency, surely less than is asked"
    assert told.endswith(f"; {again}; student25 gained 6.00x, timed again on the test part 1.20x: refuted")


def test_what_cant_be_measured_in_the_end_misses_the_goal() -> None:
    """And that is said."""
    found = report(fell=0.0)
    unmeasured = replace(found, tested={"teacher": found.tested["teacher"]}, met=False)
    assert unmeasured.verdict.endswith("lost; but on the test part it couldn't be measured")
    assert unmeasured.verdict.startswith("goal missed by teacher-static")


def test_machines_are_told_the_verdict_too() -> None:
    """And a file's report says that its samples were all there was."""
    missed = report(met=False)
    assert missed.verdict == json.loads(missed.to_json())["verdict"]
    assert "on the samples" in replace(report(), seed=None).verdict


def test_a_miss_is_told_with_what_it_would_cost() -> None:
    """In the verdict, and in its row."""
    missed = report(met=False)
    told = (
        "asked is 5.00x at no more than 1.00% lost; 6.00x [5.80-6.20] by latency would cost accuracy 0.855, 5.00% lost"
    )
    assert told in missed.verdict
    page = Reader(compression_page.render(missed)).root
    assert ["student25 * nearest miss"] == [
        " ".join(one[0].split()) for one in cells(page, "trials") if "nearest" in one[0]
    ]
    assert "published" not in page.find("section", id="method").text


def test_gains_have_their_intervals(root: Node) -> None:
    """In the row of each trial; what failed is apart, with the reason."""
    rows = {one[0].split()[0]: one for one in cells(root, "trials")[1:]}
    assert {"teacher", "teacher-static", "teacher-dynamic", "student25"} == rows.keys()
    assert "2.50 (2.30 to 2.70)" == rows["teacher-static"][4]
    assert "4.00" == rows["teacher-static"][6]
    failed = root.find("section", id="failed").text
    assert "teacher-weights4" in failed
    assert "the <service> refused it" in failed


def test_each_is_held_against_the_teacher_and_its_parent(root: Node) -> None:
    """With the inputs that only one got right, and the calibration error."""
    head, *rows = cells(root, "tested")
    assert ["accuracy", "lost, %", "beside the teacher", "beside its parent", "calibration error"] == head[1:]
    static = rows[1]
    assert "3 won, 7 lost, p = 0.340" in static[3]
    assert static[3].startswith("-0.08333")
    assert static[4].startswith("-0.04167")
    assert "0.031" == static[5]


def test_classes_are_there_and_what_fell_is_marked(root: Node) -> None:
    """Of every variant the worst too."""
    head, *rows = cells(root, "slices")
    assert ["recall", "teacher", "teacher-static", "student25"] == head
    assert list(CLASSES) == [one[0] for one in rows]
    assert "0.65 -0.25 worst" == " ".join(rows[2][2].split())
    assert "0.9" == rows[1][2]


def test_latency_memory_and_energy_are_there(root: Node) -> None:
    """By batch size; where energy can't be read, why."""
    section = root.find("section", id="speed").text
    head, *rows = cells(root, "speed")
    assert ["1 at once, ms", "32 at once, ms"] == head[1:3]
    assert ["0.80", "6.25", "5120"] == rows[1][1:4]
    assert ["12.00", "0.25"] == rows[1][-2:]
    assert f"t told: {UNREADABLE}." in section


def test_what_ran_at_once_is_told() -> None:
    """In the words of whatever was compressed; memory is of the same."""
    page = Reader(compression_page.render(replace(report(), shown="one token of 8 texts"))).root
    assert "on one thread, one token of 8 texts at once" in page.find("section", id="evidence").text
    assert "runs the file alone, one token of 8 texts at once" in page.find("section", id="speed").text


def test_what_ran_may_not_be_known_for_lack_of_time() -> None:
    """Then memory isn't either, on the page and in the terminal."""
    whole = report()
    short = replace(whole, evidence={"teacher": whole.evidence["teacher"]})
    page = Reader(compression_page.render(short)).root
    assert ["12.00", "-"] == [one[-2] for one in cells(page, "speed")[1:3]]
    assert "teacher-static" not in page.find("section", id="evidence").text
    assert ["12 MB of memory"] == [line.split("; ")[-1] for line in printed(short) if "MB of memory" in line]


def test_how_it_ended_is_told(root: Node) -> None:
    """With minutes, seed and what was published."""
    method = root.find("section", id="method").text
    assert "the time was up; all steps took 12.5 minutes, by seed 7" in method
    assert "animals 3" in method
    assert "From those of floating point its answers are apart by 1.23" in root.find("section", id="evidence").text


def test_where_time_went_is_told_of_floats_too(source: str, root: Node) -> None:
    """From the teacher's time on; layers stand beside others' only where there are others."""
    assert 3 == source.count("<svg")
    assert "From the time of the teacher to that of student25." in source
    heads = [one.text for one in root.find("section", id="evidence").all("table")]
    assert [True, False] == ["why slower" in one for one in heads]
    assert all("QLinearConv" in one for one in heads)


def test_ids_that_differ_are_counted(root: Node) -> None:
    """Their distance would say nothing."""
    assert "apart by 25.00 % of its values, which are whole numbers (class)" in root.find("section", id="evidence").text


def test_what_no_search_tries_is_told_with_the_reason(root: Node) -> None:
    """Zeros, of which this runtime has no gain."""
    told = " ".join(root.find("section", id="method").text.split())
    assert f"not tried masks, which zero weights one by one or two of every four. {NO_SPEED}" in told


def test_a_browser_shows_it_at_phone_width(source: str, tmp_path: Path, require_tool: Callable[[str], str]) -> None:
    """In a real browser, 360 pixels wide, nothing sticks out, and the console stays silent."""
    found = seen(source, tmp_path, require_tool("chromium"), labels="^teacher")
    assert 360 >= found["visible"] == found["width"]
    assert found["height"] > 2000
    assert found["overlaps"] == 0


def test_the_terminal_has_it_too() -> None:
    """In few lines for each variant."""
    text = "\n".join(printed(report()))
    assert "equal within the interval (3 won, 7 lost, p = 0.34) beside the teacher" in text
    assert "worst recall is that of <owl>: 0.65; calibration error 0.031" in text
    assert "p50 0.80 ms at 1, 6.25 ms at 32; 12 MB of memory" in text
    assert "published animals version 3" in text
    assert "2.30-2.70" in text


def test_answers_that_are_no_pairs_have_no_tests() -> None:
    """As of images that are drawn: the figures stand alone, and there are no slices."""
    made = report()
    bare = {name: replace(one, against_teacher=None, against_parent=None, by={}) for name, one in made.tested.items()}
    page = Reader(compression_page.render(replace(made, tested=bare))).root
    assert [] == [one for one in page.all("section") if one.attributes["id"] == "slices"]
    assert {"-"} == {text.strip() for one in cells(page, "tested")[1:] for text in one[3:5]}


def test_of_a_file_the_samples_that_decided_are_no_test_part() -> None:
    """It is said by what the search has chosen."""
    held_out = "Nothing was learnt from it or chosen by it."
    assert held_out in compression_page.render(report())
    own = compression_page.render(replace(report(), seed=None))
    assert held_out not in own
    assert "The samples by which the search has chosen: a file has no others." in own


def test_what_was_explained_but_is_not_worth_having_is_told() -> None:
    """On the page and on the screen, beside those that were measured on the test part."""
    made = report()
    slow = replace(made, evidence={**made.evidence, "teacher-dynamic": next(iter(made.evidence.values()))})
    assert "<h3>teacher-dynamic</h3>" in compression_page.render(slow)
    assert any(line.startswith("  teacher-dynamic: multiplied in: 100% float") for line in printed(slow))
