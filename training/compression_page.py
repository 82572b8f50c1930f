"""A search for variants as one page: what is gained for what is lost, what was tried, what ran of it, and why.

`compression_page.html.j2` says what is on it; here are the words and figures that it asks for.
"""

from training import compression_plots
from training.compression.evidence import plots
from training.compression_report import CompressionReport
from training.templates import FOLDER, embedded, fill

TEMPLATE = FOLDER / "compression_page.html.j2"


def render(report: CompressionReport) -> str:
    """The page, HTML; the same report gives the same page."""
    rows = {row.variant: row for row in report.rows}
    falls = {
        name: plots.waterfall(one.waterfall, f"waterfall-{name}")
        for name, one in report.evidence.items()
        if one.waterfall is not None
    }
    return fill(
        TEMPLATE,
        report=report,
        rows=rows,
        chosen=rows[report.chosen],
        tested=report.tested.get(report.chosen),
        pareto=compression_plots.pareto(report),
        left_out=len([row for row in report.rows if not row.failed]) - len(compression_plots.drawn(report)),
        waterfalls=falls,
        data=embedded(report.to_json()),
    )
