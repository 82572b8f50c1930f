"""Reports of networks by hand: answers that were made up, measured as real ones are."""

from dataclasses import replace
from typing import Any

import numpy as np

from tests.training import reports
from training.comparison import difference
from training.data import tabular
from training.data.checks import warning
from training.data.material import Material
from training.data.split import Dataset, Split
from training.data.tabular import TabularSettings
from training.diagnosis import diagnose
from training.network_report import Judged, NetworkFacts, NetworkReport
from training.problems.classification import Classification
from training.problems.problem import Scores
from training.timing import Latency, Speed

SPEED = Speed(
    latency_ms={"1": Latency(p50=0.8, p99=2.5, count=800), "8": Latency(p50=1.2, p99=3.1, count=100)},
    compute_ms={"1": 0.1, "8": 0.2},
    per_second={"1": 1250.0, "8": 6667.0},
    best_batch=8,
)


def table() -> Material:
    """A table of two classes with names for its columns."""
    return tabular.material(TabularSettings(), 7)


def pictures() -> Material:
    """Noise of three classes."""
    random = np.random.default_rng(1)

    def part(count: int) -> Split:
        images = random.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
        return Split(inputs=images, targets=np.arange(count) % 3, sources=np.arange(count))

    return Material(dataset=Dataset(train=part(30), validation=part(12), test=part(60), classes=("a", "b", "<c>")))


def answers(material: Material, right: float) -> dict[str, Any]:
    """Probabilities that are on the side of the truth about as often as `right`."""
    dataset, random = material.dataset, np.random.default_rng(3)
    count, classes = len(dataset.test), len(dataset.classes)
    said = np.where(random.random(count) < right, dataset.test.targets, random.integers(0, classes, count))
    logits = random.normal(size=(count, classes)) * 0.3 + 2 * np.eye(classes)[said]
    shares = np.exp(logits)
    return {"probabilities": (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)}


def report(material: Material, *, right: float = 0.8, baseline: bool = True) -> NetworkReport:
    """A network that is right so often beside one that is right less often; the goal is met by the one, if it is."""
    problem, test = Classification(), material.dataset.test
    given = answers(material, right)
    scores: Scores = problem.measure(given, test, material)
    theirs = {"majority class": answers(material, 0.2)} if baseline else {}
    rivals = {name: problem.measure(one, test, material) for name, one in theirs.items()}
    own = problem.deciding(given, test, material)
    differences = {
        name: difference(own, problem.deciding(one, test, material), test.sources, problem.resampling(test))
        for name, one in theirs.items()
    }
    fit = reports.fitted(12, 0)
    return NetworkReport(
        name="tumours",
        profile="tiny",
        about="Tumours by their cells",
        family="tumours",
        problem="classification",
        headline="accuracy",
        better=problem.better,
        settings={"seed": 7, "fit": {"epochs": 12}},
        parts={"train": 30, "validation": 12, "test": len(test)},
        findings=(warning("test: row 3 looks like row 4"),),
        fit=fit,
        diagnosis=diagnose(fit),
        network=NetworkFacts(kind="mlp", config={"widths": [32, 16]}, parameters=2114, seconds=12.0),
        size=10_273,
        parity=1e-7,
        judged=Judged(
            commit="38a636b9a6e7",
            scores=scores,
            baselines=rivals,
            differences=differences,
            speed=SPEED,
            examples=tuple(problem.examples(given, test, material)),
        ),
        goal_met=True,
        goal="goal met: accuracy 0.8",
        machine=reports.MACHINE,
    )


def without_errors(report: NetworkReport) -> NetworkReport:
    """The same with nothing to show of errors."""
    return replace(report, judged=replace(report.judged, examples=()))
