"""What a person reads on the terminal of a network that was measured."""

from rich.console import Console

from training.bootstrap import Figure
from training.network_report import NetworkReport
from training.table import framed, print_whole, tell_published


def print_network(report: NetworkReport, console: Console) -> None:
    """The network beside its baselines by each figure, how fast it answers, its verdict, and what was published."""
    judged = report.judged
    table = framed(f"{report.about} ({report.profile})", (report.family, *judged.baselines), first="test part")
    for name, figure in judged.scores.figures.items():
        others = [scores.figures[name].value for scores in judged.baselines.values()]
        mark = f"{name} *" if name == report.headline else name
        table.add_row(mark, interval(figure), *(f"{value:.4g}" for value in others))
    table.caption = f"{report.parts['test']:,} inputs, through the service; brackets are 95 % intervals, * decides."
    print_whole(table, console)
    speed, network = judged.speed, report.network
    latencies = ", ".join(f"{one.p50:.2f} / {one.p99:.2f} @{size}" for size, one in speed.latency_ms.items())
    lines = [
        f"{network.kind}, {network.parameters:,} parameters, {report.size / 1e6:.2f} MB, fit {network.seconds:.0f} s",
        f"request p50 / p99 ms @batch: {latencies}; {speed.per_second[str(speed.best_batch)]:,.0f} a second at best",
        report.goal,
    ]
    if judged.scores.features:
        lines.insert(0, f"images judged by {judged.scores.features}")
    for line in lines:
        console.print(f"  {line}", highlight=False, soft_wrap=True)
    tell_published(report.published, console)


def interval(figure: Figure) -> str:
    """A figure with its interval."""
    return f"{figure.value:.4g} [{figure.low:.4g}, {figure.high:.4g}]"
