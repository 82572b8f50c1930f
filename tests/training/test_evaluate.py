"""Evaluation and verdict: variants measured side by side, and what follows from the figures."""

import time
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from training.data.split import Dataset, Images
from training.evaluate import Candidate, EvaluateSettings, Measured, Request, evaluate
from training.statistics import Paired, share
from training.verdict import Budget, choose

CANDIDATES = (
    Candidate(name="digits-teacher", parent=None, size=1000),
    Candidate(name="digits-int8", parent="digits-teacher", size=300),
)
SETTINGS = EvaluateSettings(rounds=4, requests=6, batch_sizes=(1, 4))


@dataclass(kw_only=True)
class Acting:
    """A predictor that takes a given time and errs on given images; it keeps the order of what it was asked."""

    dataset: Dataset
    seconds: dict[str, float]
    errors: dict[str, int]
    asked: list[tuple[str, int]] = field(default_factory=list)

    def request(self, model: str, images: Images) -> Request:
        """Right answers but for the first `errors` images of the test part."""
        test = self.dataset.test
        truth = {image.tobytes(): label for image, label in zip(test.images, test.labels, strict=True)}
        wrong = {image.tobytes() for image in test.images[: self.errors[model]]}
        labels = [(truth[i.tobytes()] + (i.tobytes() in wrong)) % 10 for i in images]
        answer = np.eye(10, dtype=np.float32)[labels]

        def send() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
            self.asked.append((model, len(images)))
            time.sleep(self.seconds[model])
            return answer

        return send


def measure(dataset: Dataset, *, seconds: float = 0.001, errors: int = 0) -> tuple[dict[str, Measured], Acting]:
    acting = Acting(
        dataset=dataset,
        seconds={"digits-teacher": 0.002, "digits-int8": seconds},
        errors={"digits-teacher": 2, "digits-int8": errors},
    )
    return evaluate(acting, CANDIDATES, dataset.test, dataset.classes, SETTINGS), acting


@pytest.fixture(scope="module")
def measured(dataset: Dataset) -> dict[str, Measured]:
    return measure(dataset)[0]


def test_accuracy_counts_the_right_answers(measured: dict[str, Measured], dataset: Dataset) -> None:
    """Accuracy, scores and confusion are those of the answers given for the whole test part."""
    teacher, int8 = measured["digits-teacher"], measured["digits-int8"]
    assert (teacher.accuracy.hits, int8.accuracy.hits) == (448, 450)
    assert np.trace(np.array(teacher.confusion)) == 448
    assert np.array(teacher.confusion).sum() == len(dataset.test)
    assert all(score.f1 == 1 for score in int8.classes.values())


def test_a_child_is_compared_with_its_parent_image_by_image(measured: dict[str, Measured]) -> None:
    """The paired counts say on which images parent and child differ; a teacher has none."""
    assert measured["digits-teacher"].against_parent is None
    assert measured["digits-int8"].against_parent == Paired(only_first=2, only_second=0, p_value=0.5)


def test_a_faster_variant_is_measured_faster(measured: dict[str, Measured]) -> None:
    """A variant that takes half the time is found to be about twice as fast."""
    assert 1.4 < measured["digits-int8"].latency_speedup < 2.6
    assert 1.4 < measured["digits-int8"].throughput_speedup < 2.6
    assert measured["digits-teacher"].latency_ms["p50"] >= 2
    assert measured["digits-teacher"].latency_speedup == 1


def test_the_best_batch_is_the_one_with_the_highest_throughput(measured: dict[str, Measured]) -> None:
    """Where a batch costs no more than an image, the largest batch is best."""
    figures = measured["digits-int8"]
    assert figures.best_batch == 4
    assert figures.throughput == max(figures.images_per_second.values())


def test_variants_take_turns_within_every_round(dataset: Dataset) -> None:
    """No variant is measured while the machine was in another mood: each round has both, in alternating order."""
    _, acting = measure(dataset)
    timed = [(model, size) for model, size in acting.asked if size == 4][-SETTINGS.rounds * 2 * 3 :]
    blocks = [model.removeprefix("digits-") for model, _ in timed[::3]]
    assert blocks == ["teacher", "int8", "int8", "teacher"] * 2


def test_within_the_budget_and_faster_is_chosen(measured: dict[str, Measured]) -> None:
    """INT8 is served under the family's name when it is faster and accurate enough, with its gain as the reason."""
    verdict = choose(measured, Budget())
    assert verdict.chosen == "digits-int8"
    assert verdict.reasons["digits-int8"].startswith("chosen: ")
    assert verdict.reasons["digits-teacher"] == "the teacher: the yardstick"


@pytest.mark.parametrize(
    "changes,text",
    [
        ({"throughput_speedup": 0.8}, "slower: 0.80x at batch 4"),
        ({"throughput_speedup": 1.04}, "1.04x at batch 4, asked is 1.05x"),
        ({"latency_speedup": 0.9}, "slower: 0.90x at batch 1"),
        ({"accuracy": share(443, 450)}, "accuracy falls by 0.0111, the budget is 0.0100"),
    ],
)
def test_otherwise_the_teacher_is_chosen_and_the_reason_given(
    measured: dict[str, Measured], changes: dict[str, object], text: str
) -> None:
    """A variant that is slower, hardly faster or too inaccurate is never chosen, and the verdict says why."""
    worse = {**measured, "digits-int8": replace(measured["digits-int8"], **changes)}  # type: ignore[arg-type]
    verdict = choose(worse, Budget())
    assert verdict.chosen == "digits-teacher"
    assert verdict.reasons["digits-int8"] == f"not chosen: {text}"
    assert verdict.reasons["digits-teacher"].startswith("chosen: ")


def test_the_faster_of_two_good_variants_is_chosen(measured: dict[str, Measured]) -> None:
    """Among variants within the budget the throughput decides, and the others are told who won."""
    slower = replace(measured["digits-int8"], images_per_second={"1": 1.0, "4": 2.0})
    verdict = choose({**measured, "digits-other": slower}, Budget())
    assert verdict.chosen == "digits-int8"
    assert verdict.reasons["digits-other"] == "not chosen: digits-int8 is faster"


@pytest.mark.parametrize("goal,met", [(0.99, True), (1.0, True), (0.0, True)])
def test_the_goal_is_asked_of_the_chosen_variant(measured: dict[str, Measured], goal: float, met: bool) -> None:
    """The family's goal holds for the variant that clients get, here one without an error."""
    assert choose(measured, Budget(min_accuracy=goal)).goal_met is met


def test_a_missed_goal_is_said(measured: dict[str, Measured]) -> None:
    """When the chosen variant is less accurate than asked, the verdict says by which figures."""
    verdict = choose({"digits-teacher": measured["digits-teacher"]}, Budget(min_accuracy=0.999))
    assert not verdict.goal_met
    assert verdict.goal == "accuracy 0.9956 misses the goal of 0.9990"
