"""What the search for a capacity comes to: at the terminal, as JSON, as Markdown, and as a picture of all windows."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from loadtests import results
from loadtests.bisection import Bracket, Capacity, Verdict, Window

NAME = "capacity"
PICTURE = "capacity.png"
PACKAGES = ("onnxruntime", "uvicorn", "uvloop", "httptools", "orjson")
COLUMNS = (
    "target",
    "SLO",
    "requests/s [interval]",
    "the run before",
    "within its interval",
    "share of the closed loop's",
    "windows (discarded)",
    "measured",
    "commit",
)
LEAST_REQUESTS = 300
"""In a window, so that its percentile says something."""

_BAR = 30
_COLOURS = {Verdict.HELD: "#2c7fb8", Verdict.BROKE: "#d95f0e", Verdict.LATE: "#999999"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """`slo` in seconds, met at `percentile`; windows of `seconds` or longer; so many bisections, or `rounds`."""

    slo: float
    percentile: float
    seconds: float
    rounds: int
    seed: int

    @property
    def promise(self) -> str:
        """The SLO in words."""
        return f"p{self.percentile:g} {self.slo * 1e3:g} ms"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One search: requests per second with its interval, the bisections and windows behind it, the closed loop's."""

    rate: float
    low: float
    high: float
    closed: float
    brackets: list[dict[str, Any]]
    windows: list[dict[str, Any]]

    @classmethod
    def of(cls, capacity: Capacity, brackets: Sequence[Bracket], windows: Sequence[Window], closed: float) -> Self:
        """From what was measured."""
        return cls(
            **asdict(capacity),
            closed=closed,
            brackets=[asdict(one) for one in brackets],
            windows=[asdict(one) for one in windows],
        )


def show(name: str, run: Run, settings: Settings, console: Console) -> None:
    """Every rate with its windows, as a bar that ends at twice the SLO, and the figure."""
    table = Table("requests/s", f"p{settings.percentile:g} ms", "SLO at half of the bar", "windows", title=name)
    for rate in sorted({one["rate"] for one in run.windows}):
        ones = [one for one in run.windows if one["rate"] == rate]
        latency = statistics.median(one["latency"] for one in ones)
        verdicts = ", ".join(f"{verdict} {count}" for verdict in Verdict if (count := _count(ones, verdict)))
        bar = Bar(2 * settings.slo, 0, min(latency, 2 * settings.slo), width=_BAR)
        table.add_row(f"{rate:,.1f}", f"{latency * 1e3:,.1f}", bar, verdicts)
    console.print(table)
    console.print(f"{name}: {_figure(asdict(run))} requests/s meet {settings.promise}", highlight=False)


def write(name: str, run: Run, settings: Settings) -> None:
    """Renew the row of `name`, with the run before beside it where its settings were the same, and the picture."""
    known = dict(entries())
    before = known.get(name)
    same = before is not None and before["settings"] == asdict(settings)
    about = results.circumstances(PACKAGES)
    known[name] = {
        **about,
        "settings": asdict(settings),
        "run": asdict(run),
        "before": _brief(before) if before and same else None,
    }
    picture(known, results.FOLDER / "results" / PICTURE)
    results.write(NAME, section(known), {"bench": NAME, "targets": known})


def entries() -> dict[str, Mapping[str, Any]]:
    """Everything that was measured on this machine so far, by target."""
    return results.here(results.twin(NAME).get("targets", {}))


def section(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """The section of RESULTS.md."""
    newest = max(measured.values(), key=lambda one: str(one["date"]))
    settings = newest["settings"]
    return f"""\
## Capacity: the highest Poisson rate that meets the SLO

{results.told(newest)}

`make capacity`: open loop, latency from the scheduled send, windows of {settings["seconds"]:g} s or {LEAST_REQUESTS} \
requests; a failed request breaks the SLO, a window whose generator was late is discarded. The mean of \
{settings["rounds"]} bisections; in its interval another run should find it 19 times in 20, as long as the machine \
keeps its pace. "At least" where a bisection ended at a rate at which the generator was always late: it shares the \
cores with the service.

{results.table(COLUMNS, [_row(name, one) for name, one in measured.items()])}
![p99 of every window by its rate](results/{PICTURE})
"""


def picture(measured: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Every window of each target's latest run: its latency at the percentile, by its rate; and the interval."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, all_axes = plt.subplots(1, len(measured), figsize=(4.5 * len(measured), 3.5), squeeze=False)
    for axes, (name, one) in zip(all_axes[0], measured.items(), strict=True):
        run, settings = one["run"], one["settings"]
        for verdict, colour in _COLOURS.items():
            ones = [window for window in run["windows"] if window["verdict"] == verdict]
            # Where requests failed there is no latency: such windows stand at the top.
            heights = [min(window["latency"] or 10, 10) * 1e3 for window in ones]
            axes.scatter([window["rate"] for window in ones], heights, s=14, color=colour, label=verdict)
        axes.axhline(settings["slo"] * 1e3, color="black", linewidth=0.8)
        axes.axvspan(run["low"], run["high"], color="#2c7fb8", alpha=0.15)
        axes.set(title=name, xlabel="requests per second", yscale="log")
        axes.set_ylabel(f"p{settings['percentile']:g}, ms")
    all_axes[0][-1].legend(frameon=False)
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


def _brief(one: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of the run before."""
    return {
        **{key: one["run"][key] for key in ("rate", "low", "high", "brackets")},
        "date": one["date"],
        "commit": one["commit"],
    }


def _row(name: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    run, before = one["run"], one["before"]
    settings = Settings(**one["settings"])
    reproduced = ""
    if before:
        reproduced = "yes" if before["low"] <= run["rate"] <= before["high"] else "**no**"
    return (
        name,
        settings.promise,
        f"**{_figure(run)}**",
        _figure(before) if before else "",
        reproduced,
        f"{run['rate'] / run['closed']:.2f}",
        f"{len(run['windows'])} ({_count(run['windows'], Verdict.LATE)})",
        one["date"],
        one["commit"],
    )


def _figure(run: Mapping[str, Any]) -> str:
    least = "" if all(one["is_measured"] for one in run["brackets"]) else "at least "
    digits = ",.0f" if run["rate"] >= 100 else ",.1f"
    return f"{least}{run['rate']:{digits}} [{run['low']:{digits}}-{run['high']:{digits}}]"


def _count(windows: Sequence[Mapping[str, Any]], verdict: Verdict) -> int:
    return sum(one["verdict"] == verdict for one in windows)
