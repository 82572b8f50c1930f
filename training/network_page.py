"""A network's run as one page: how good it is beside what it has to beat, where it fails, how it learnt and answers.

`network_page.html.j2` says what is on it; here are the words and figures that it asks for.
"""

from collections.abc import Mapping

from training import network_plots
from training.data.material import Material
from training.drawing import SERIES
from training.network_report import NetworkReport
from training.problems.problem import Scores
from training.shown_fit import shown_fit
from training.shown_input import shown_input
from training.templates import FOLDER, embedded, fill

TEMPLATE = FOLDER / "network_page.html.j2"
MOST_CURVES = len(SERIES)
LARGEST_CONFUSION = 40
"""Classes: a larger matrix can't be read."""


def render(report: NetworkReport, material: Material) -> str:
    """The page, HTML; the same report gives the same page. `material` is what was measured on."""
    scores, baselines = report.judged.scores, report.judged.baselines
    rivals = {name: one.figures[report.headline] for name, one in baselines.items()}
    shown = {report.family: scores.figures[report.headline], **rivals}
    classes = material.dataset.classes
    matrix = scores.confusion if len(scores.confusion) == len(classes) <= LARGEST_CONFUSION else ()
    curves = hardest(scores)
    return fill(
        TEMPLATE,
        report=report,
        judged=report.judged,
        scores=scores,
        headline=scores.figures[report.headline],
        best=report.best_baseline,
        comparison=network_plots.comparison(shown, report.headline),
        rows=list(dict.fromkeys(row for one in scores.by.values() for row in one)),
        classes=classes,
        confusion=matrix,
        most_confused=max(
            (count for at, row in enumerate(matrix) for to, count in enumerate(row) if at != to), default=0
        ),
        curves=list(curves),
        roc=network_plots.roc(curves) if curves else "",
        calibration=network_plots.calibration(scores.calibration) if scores.calibration else "",
        examples=[shown_input(one, material) for one in report.judged.examples],
        fit=shown_fit(report.family, report.fit, report.diagnosis),
        data=embedded(report.to_json()),
    )


def hardest(scores: Scores) -> Mapping[str, tuple[tuple[float, float], ...]]:
    """The ROC curves of the classes that are told worst, as many as a plot has colours."""
    areas = scores.by.get("auroc", {})
    chosen = sorted(scores.roc, key=lambda name: areas[name].value if name in areas else 0.0)[:MOST_CURVES]
    return {name: points for name, points in scores.roc.items() if name in chosen}
