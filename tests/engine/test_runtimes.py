"""Which runtime serves a model best: only one that was measured, and that answers as the reference does."""

import io

from rich.console import Console

from service.engine.profile import BucketTime
from service.engine.runtimes import Outcome, best
from service.engine.trials.difference import BEYOND
from service.engine.trials.findings import Findings
from service.profile_view import show


def outcome(backend: str, *medians: float, error: float = 0.0) -> Outcome:
    """An outcome with a median for 1, 2, 4 ... rows."""
    buckets = tuple(BucketTime(rows=2**number, median=one, p95=one) for number, one in enumerate(medians))
    findings = Findings(instances=1, threads=2, buckets=buckets, influence=0.0)
    return Outcome(backend=backend, precision="f32", findings=findings, error=error)


def shown(*outcomes: Outcome) -> str:
    """What the verb `profile` prints of these."""
    chosen = best(list(outcomes), objective="throughput", most_error=0.01)
    text = io.StringIO()
    show("m", outcomes, chosen, Console(file=text, width=200))
    return " ".join(text.getvalue().split())


def test_the_objective_decides() -> None:
    """One is faster in large batches, another for a lone row."""
    batches, alone = outcome("onnxruntime", 0.004, 0.004), outcome("openvino", 0.003, 0.006)

    assert batches is best([batches, alone], objective="throughput", most_error=0.01)
    assert alone is best([batches, alone], objective="latency", most_error=0.01)
    assert "m: best with onnxruntime f32" in shown(batches, alone)


def test_who_answers_otherwise_is_not_chosen() -> None:
    """However fast: by more than the tolerance, or by something that isn't a number."""
    sound, fast, broken = outcome("a", 1.0), outcome("b", 0.1, error=0.02), outcome("c", 0.01, error=BEYOND)

    assert sound is best([sound, fast, broken], objective="throughput", most_error=0.01)
    assert best([fast, broken], objective="latency", most_error=0.01) is None
    text = shown(fast, broken)
    assert "c f32: 1 x 2 threads, answers differ in NaN, infinity or shape" in text
    assert "m: none is chosen: the answers of those that were measured differ by more than --max-error" in text


def test_without_measurements_none_is_chosen() -> None:
    """Whoever computed no timed batch isn't best in anything; it is said why, and what to do."""
    unknown = outcome("onnxruntime")

    for objective in ("throughput", "latency"):
        assert best([unknown], objective=objective, most_error=0.01) is None
    assert "no batch could be timed: where lengths vary, declare them with hone.length.INPUT" in shown(unknown)
    assert "none could be tried" in shown(Outcome(backend="a", precision="f32", problem="isn't installed"))
