"""A search for variants as one page: what is gained for what is lost, what was tried, what ran of it, and why.

`compression_page.html.j2` says what is on it; here are the words and figures that it asks for.
"""

from training import compression_plots
from training.compression.evidence import plots
from training.compression.pruning.masks import NO_SPEED
from training.compression.search.design import TEACHER
from training.compression_report import CompressionReport
from training.templates import FOLDER, embedded, fill

SHOWN = ("calibration error",)
"""Figures besides the headline that a variant can lose while that stays; the JSON has all."""
TEMPLATE = FOLDER / "compression_page.html.j2"


def render(report: CompressionReport) -> str:
    """The page, HTML; the same report gives the same page."""
    rows = {row.variant: row for row in report.rows}
    falls = {
        name: plots.waterfall(one.waterfall, f"waterfall-{name}")
        for name, one in report.evidence.items()
        if one.waterfall is not None
    }
    against = {name: one.against_teacher for name, one in report.tested.items() if one.against_teacher}
    teacher = next(iter(report.tested.values()))
    sliced = next((one.sliced for one in against.values() if one.slices), "")
    return fill(
        TEMPLATE,
        report=report,
        rows=rows,
        failed=[row for row in report.rows if row.failed],
        chosen=rows[report.chosen],
        tested=report.tested.get(report.chosen),
        paired=any(one.pairs for one in against.values()),
        others=[name for name in SHOWN if name in teacher.figures],
        sliced=sliced,
        parts_of=list(teacher.by.get(sliced, ())),
        fallen={name: one.fallen(smaller=report.smaller) for name, one in against.items()} | {TEACHER: ()},
        worst={
            name: one.worst(sliced, smaller=report.smaller) if sliced else "" for name, one in report.tested.items()
        },
        sizes=list(teacher.speed.latency_ms),
        unreadable=next((one.energy.reason for one in report.evidence.values() if one.energy.reason), ""),
        pareto=compression_plots.pareto(report),
        no_speed=NO_SPEED,
        left_out=len([row for row in report.rows if not row.failed]) - len(compression_plots.drawn(report)),
        waterfalls=falls,
        data=embedded(report.to_json()),
    )
