"""A language model's run as one page: what a byte of unseen texts costs it, beside counts, and how it goes on.

`language_page.html.j2` says what is on it; here are the words and figures that it asks for.
"""

from collections.abc import Mapping

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from training.diagnosis import diagnose
from training.drawing import INK, MUTED, SERIES, blank, drawing, inline
from training.language_report import LanguageReport
from training.metrics.language import measure
from training.shown_fit import shown_fit
from training.templates import FOLDER, embedded, fill

TEMPLATE = FOLDER / "language_page.html.j2"


def render(report: LanguageReport) -> str:
    """The page, HTML; the same report gives the same page."""
    reading = report.reading
    network = {name: one.bits_per_byte for name, one in reading.decoder.topics.items()}
    counts = {name: reading.baseline.topics[name].bits_per_byte for name in network}
    return fill(
        TEMPLATE,
        report=report,
        reading=reading,
        recipe=report.recipe,
        headline=measure(list(reading.decoder.topics.values())).bits_per_byte,
        figures={
            report.recipe.family: measure(list(reading.decoder.topics.values())),
            f"{reading.order}-gram": measure(list(reading.baseline.topics.values())),
        },
        topics=sorted(network, key=lambda topic: network[topic] / counts[topic]),
        better=sum(network[topic] < counts[topic] for topic in network),
        plot=topics(network, counts),
        fit=shown_fit(report.recipe.family, report.fit, diagnose(report.fit)),
        data=embedded(report.to_json()),
    )


def topics(network: Mapping[str, float], counts: Mapping[str, float]) -> Markup:
    """Bits a byte of each topic by the network and by counts, in the order of the latter."""
    order = sorted(counts, key=lambda topic: counts[topic])
    with drawing("topics"):
        figure = blank(400, 270)
        axes = figure.add_subplot()
        places = range(1, len(order) + 1)
        axes.plot(places, [counts[topic] for topic in order], color=MUTED, marker="s", linestyle="")
        axes.plot(places, [network[topic] for topic in order], color=SERIES[0], marker="o", linestyle="")
        axes.vlines(places, [counts[one] for one in order], [network[one] for one in order], colors=INK, linewidth=0.7)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("topic")
        axes.set_ylabel("bits a byte")
        return inline(figure, "topics")
