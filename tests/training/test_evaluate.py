"""Evaluation: variants measured side by side, each figure from what was answered and how long that took."""

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from tests.training.doubles import Acting
from training.data.split import Dataset
from training.evaluate import (
    WORST,
    Candidate,
    Measured,
    evaluate,
)
from training.export import INPUT
from training.gain import gain as gain_of
from training.statistics import compare, share
from training.timing import WARM_UP, EvaluateSettings, Timing, time_side_by_side
from training.timing import speed as speed_of

TEACHER, STUDENT, INT8 = "digits-teacher", "digits-student", "digits-int8"
CANDIDATES = (
    Candidate(name=TEACHER, parent=None, size=1200),
    Candidate(name=STUDENT, parent=TEACHER, size=600),
    Candidate(name=INT8, parent=STUDENT, size=200),
)
SETTINGS = EvaluateSettings(rounds=4, requests=6, batch_sizes=(1, 4))
MILLISECONDS = {TEACHER: 4, STUDENT: 2, INT8: 1}


def acting(dataset: Dataset) -> Acting:
    return Acting(
        dataset=dataset,
        seconds={name: milliseconds / 1e3 for name, milliseconds in MILLISECONDS.items()},
        errors={TEACHER: 2, STUDENT: 20, INT8: 0},
        overhead=0.0005,
    )


@pytest.fixture(scope="module")
def measured(dataset: Dataset) -> dict[str, Measured]:
    console = Console(file=StringIO())
    return evaluate(acting(dataset), CANDIDATES, dataset.test, dataset.classes, settings=SETTINGS, console=console)


def right(dataset: Dataset, errors: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.arange(len(dataset.test)) >= errors


def test_accuracy_counts_the_right_answers(measured: dict[str, Measured], dataset: Dataset) -> None:
    """Accuracy, its interval, scores and confusion are those of the answers given for the whole test part."""
    for name, errors in ((TEACHER, 2), (STUDENT, 20), (INT8, 0)):
        figures = measured[name]
        assert share(right(dataset, errors), dataset.test.sources) == figures.accuracy
        assert len(dataset.test) - errors == np.trace(np.array(figures.confusion))
        assert len(dataset.test) == np.array(figures.confusion).sum()
        assert len(dataset.test) == sum(score.support for score in figures.classes.values())
    assert all(score.f1 == 1 for score in measured[INT8].classes.values())


def test_a_child_is_compared_with_its_parent_scan_by_scan(measured: dict[str, Measured], dataset: Dataset) -> None:
    """The paired test is that of parent and child on the same views; a teacher has none."""
    sources = dataset.test.sources
    assert measured[TEACHER].against_parent is None
    assert compare(right(dataset, 20), right(dataset, 2), sources) == measured[STUDENT].against_parent
    assert compare(right(dataset, 0), right(dataset, 20), sources) == measured[INT8].against_parent


def test_the_surest_mistakes_are_told_first(measured: dict[str, Measured], dataset: Dataset) -> None:
    """The most confident wrong answers, most confident first, with what was said and what was right."""
    mistakes = measured[STUDENT].mistakes
    assert list(range(WORST)) == [one.image for one in mistakes]
    assert sorted((one.confidence for one in mistakes), reverse=True) == [one.confidence for one in mistakes]
    for one in mistakes:
        assert (dataset.test.targets[one.image], (one.label + 1) % 10) == (one.label, one.answer)
        assert 1 == pytest.approx(one.confidence + one.truth)
    assert 2 == len(measured[TEACHER].mistakes)
    assert () == measured[INT8].mistakes


def test_times_have_a_figure_for_each_batch_size(measured: dict[str, Measured]) -> None:
    """Latency holds the overhead and computing doesn't; rates count images, and the best batch has the highest."""
    for name, milliseconds in MILLISECONDS.items():
        figures = measured[name]
        assert {"1", "4"} == set(figures.latency_ms) == set(figures.compute_ms) == set(figures.images_per_second)
        for size in ("1", "4"):
            assert milliseconds - 0.5 == pytest.approx(figures.compute_ms[size])
            assert milliseconds <= figures.latency_ms[size].p50 <= figures.latency_ms[size].p99
            assert figures.images_per_second[size] <= int(size) / milliseconds * 1e3
        assert {"1": 24, "4": 12} == {size: latency.count for size, latency in figures.latency_ms.items()}
        assert 4 == figures.best_batch
        assert figures.images_per_second["4"] == figures.throughput == max(figures.images_per_second.values())


def test_gains_are_against_the_parent_and_against_the_teacher(measured: dict[str, Measured]) -> None:
    """A grandchild is told apart from its parent and from where it all began; a teacher gains on nobody."""
    teacher, student, int8 = (measured[name] for name in (TEACHER, STUDENT, INT8))
    assert (teacher.over_parent, teacher.over_teacher) == (None, None)
    assert student.over_parent == student.over_teacher
    assert int8.over_parent is not None
    assert int8.over_teacher is not None
    assert (3.0, 6.0) == (int8.over_parent.size, int8.over_teacher.size)
    assert 1.5 / 0.5 == pytest.approx(int8.over_parent.compute)
    assert 3.5 / 0.5 == pytest.approx(int8.over_teacher.compute)
    # Of sleeps, which take as long as a busy machine likes; figures are tested below.
    assert int8.over_parent.latency > 1
    assert int8.over_teacher.throughput > 1


def test_gains_are_medians_of_the_rounds_own_ratios() -> None:
    """A minute in which everything takes ten times as long changes no gain: it is compared within itself."""
    mood = np.array([1.0, 10.0, 1.0, 30.0, 2.0])
    noise = np.array([1.0, 1.0, 5.0, 1.0, 1.0])  # one round in which only the teacher was disturbed

    def timings(seconds: float, disturbed: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> dict[int, Timing]:
        rounds = seconds * mood * disturbed
        return {1: Timing(requests=np.repeat(rounds[:, None], 3, axis=1), compute=rounds / 2)}

    gain = gain_of(timings(1.0, np.ones(5)), timings(3.0, noise), size=2.0)
    assert (2.0, 3.0, 3.0, 3.0) == pytest.approx((gain.size, gain.compute, gain.latency, gain.throughput))


def test_one_slow_request_a_round_decides_nothing() -> None:
    """Rates, the best batch and the gain in throughput go by the same medians, whatever means would say."""
    one, four = np.full((5, 3), 1.0), np.tile([2.0, 2.0, 50.0], (5, 1))
    timings = {size: Timing(requests=each, compute=each[:, 0]) for size, each in ((1, one), (4, four))}
    speed = speed_of(timings)
    alone = {1: timings[1]}

    assert 4 == speed.best_batch
    assert {"1": 1.0, "4": 2.0} == speed.per_second
    assert 2.0 == gain_of(timings, alone, size=1.0).throughput


def test_variants_take_turns_within_every_round(dataset: Dataset) -> None:
    """No variant is measured while the machine was in another mood: each round has all, in alternating order."""
    predictor = acting(dataset)
    names = list(MILLISECONDS)
    timings = time_side_by_side(predictor, names, {INPUT: dataset.test.inputs}, SETTINGS, Console(file=StringIO()))
    asked = predictor.asked[len(names) * 2 * WARM_UP :]
    rounds = []
    for number in range(SETTINGS.rounds):
        order = names if number % 2 == 0 else names[::-1]
        rounds += [(name, size) for size, count in ((1, 6), (4, 3)) for name in order for _ in range(count)]
    assert rounds == asked
    assert {(4, 6), (4, 3)} == {timings[TEACHER][size].requests.shape for size in (1, 4)}


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"requests": 0}, {"batch_sizes": (0, 1)}, {"batch_sizes": (8,)}])
def test_settings_without_a_meaning_are_refused(wrong: dict[str, object]) -> None:
    """There is at least one round of one request, and batch size 1 is always measured."""
    with pytest.raises(ValueError, match="batch size 1 is always measured"):
        EvaluateSettings(**wrong)  # type: ignore[arg-type]
