"""A report of a search by hand: a class fell beyond chance, one variant couldn't be, and bytes were published."""

from dataclasses import replace

from tests.training.reports import MACHINE
from training.bootstrap import Figure
from training.comparison import Against
from training.compression.evidence.breakdown import LayerRow, Step, Waterfall
from training.compression.evidence.energy import Energy
from training.compression.evidence.footprint import Memory, Size
from training.compression.search.budget import Budget
from training.compression.search.made import Made
from training.compression_report import CompressionReport, Row, Tested
from training.gain import ITSELF, Gain, Interval
from training.publish import Published
from training.statistics import Paired
from training.steps.explaining import Evidence, Likeness
from training.timing import Latency, Speed

CLASSES = ("cat", "dog", "<owl>")
UNREADABLE = "the machine shows no energy counters (RAPL)"


def figure(value: float, off: float = 0.02) -> Figure:
    return Figure(value=value, low=value - off, high=value + off)


def faster(times: float, off: float = 0.2) -> Gain:
    """With intervals for all but the size."""
    interval = Interval(low=times - off, high=times + off)
    return Gain(
        size=4.0,
        compute=times,
        latency=times,
        throughput=times,
        intervals=dict.fromkeys(("compute", "latency", "throughput"), interval),
    )


def row(variant: str, parent: str | None, drop: float, gain: Gain | None, *, failed: str = "") -> Row:
    network, *_ = variant.split("-")
    return Row(
        variant=variant,
        parent=parent,
        network=network,
        numbers=variant.partition("-")[2] or "f32",
        runtime="onnxruntime",
        score=None if failed else 0.9 * (1 - drop),
        drop=None if failed else drop,
        gain=gain,
        made=Made(),
        failed=failed,
    )


def against(*, fell: float) -> Against:
    """Another variant, of which the owl's recall is higher by `fell`, and all else the same."""
    return Against(
        difference=figure(-fell / 3),
        verdict="equal within the interval",
        pairs=Paired(only_first=3, only_second=7, p_value=0.34),
        sliced="recall",
        slices={name: figure(-fell if name == "<owl>" else 0.0) for name in CLASSES},
    )


def measured(drop: float, gain: Gain, *, fell: float = 0.0, parent: bool = True) -> Tested:
    recalls = {name: figure(0.9 - (fell if name == "<owl>" else 0.0)) for name in CLASSES}
    return Tested(
        figure=figure(0.9 * (1 - drop)),
        drop=drop,
        figures={"accuracy": figure(0.9 * (1 - drop)), "calibration error": figure(0.031)},
        by={"recall": recalls},
        against_teacher=against(fell=fell) if parent else None,
        against_parent=against(fell=fell / 2) if parent else None,
        gain=gain,
        over_parent=gain if parent else None,
        speed=Speed(
            latency_ms={"1": Latency(p50=0.8, p99=2.5, count=800), "32": Latency(p50=6.25, p99=9.5, count=100)},
            compute_ms={"1": 0.1, "32": 4.0},
            per_second={"1": 1250.0, "32": 5120.0},
            best_batch=32,
        ),
        size=250_000,
    )


def evidence(*, integers: bool = True) -> Evidence:
    told = Evidence(
        shares={"float": 1.0},
        missed={},
        size=Size(stored=1_000_000, zipped=900_000),
        memory=Memory(peak=90_000_000, own=12_000_000),
        energy=Energy(joules=None, seconds=0.0, reason=UNREADABLE),
        rows=1,
    )
    layer = LayerRow(
        name="/conv",
        operator="Conv",
        precision="integer",
        kernel="QLinearConv",
        macs=1000,
        share=1.0,
        float_us=10.0,
        kernel_us=4.0,
        conversions_us=1.0,
        saved_us=5.0,
        cause=None,
        text=None,
    )
    steps = (Step(name="layers in integers", us=-6.0), Step(name="conversions", us=1.0))
    if not integers:
        return told
    return replace(
        told,
        shares={"integer": 1.0},
        missed={"/norm": "no kernel for <it>"},
        speed_up=2.0,
        layers=(layer,),
        waterfall=Waterfall(float_us=10.0, steps=steps, compressed_us=5.0),
        likeness={"probabilities": Likeness(relative=0.0123, largest=0.1)},
    )


def smaller() -> Evidence:
    """Of a network in floating point: its layers, and one step from the teacher's time; it answers ids besides."""
    whole = evidence()
    fall = Waterfall(float_us=10.0, steps=(Step(name="network", us=-7.0),), compressed_us=3.0)
    alike = Likeness(relative=None, largest=7.0, differing=0.25)
    return replace(evidence(integers=False), layers=whole.layers, waterfall=fall, likeness={"class": alike})


def report(*, fell: float = 0.25, met: bool = True) -> CompressionReport:
    """The static form was chosen; of its classes the owl `fell` so much."""
    rows = (
        row("teacher", None, 0.0, ITSELF),
        row("teacher-static", "teacher", 0.004, faster(2.5)),
        row("teacher-dynamic", "teacher", 0.002, faster(1.1)),
        row("teacher-weights4", "teacher", 0.0, None, failed="the <service> refused it"),
        row("student25", "teacher", 0.05, faster(6.0)),
    )
    names = {"teacher": measured(0.0, ITSELF, parent=False), "teacher-static": measured(0.004, faster(2.5), fell=fell)}
    return CompressionReport(
        name="animals",
        profile="quick",
        about="Animals, seen <from afar>",
        headline="accuracy",
        smaller=False,
        budget=Budget(max_drop=0.01, at_least=2.0 if met else 5.0),
        rows=rows,
        front=("teacher", "teacher-static", "student25"),
        chosen="teacher-static",
        refuted=(),
        met=met,
        nearest="student25" if not met else "teacher-static",
        tested={**names, "student25": measured(0.05, faster(6.0))},
        shown="one input",
        evidence={
            "teacher": evidence(integers=False),
            "teacher-static": evidence(),
            "student25": smaller(),
        },
        ended="time",
        seed=7,
        minutes=12.5,
        commit="abcdef0",
        machine=MACHINE,
        published=(Published(name="animals", version=3, new=True),) if met else (),
    )
