"""Turns what a search found into releases: what is published under which name, and what each card says."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from training.compression.search.design import Design
from training.compression_report import CompressionReport, Tested
from training.model_config import renamed
from training.publish import Release
from training.steps.explaining import Evidence


def releases(report: CompressionReport, bare: Mapping[str, Release], designs: Iterable[Design]) -> list[Release]:
    """A release of every variant under its own name, and of the chosen one again under the family's.

    `bare` are those of `designs` by their names, of which nothing is told yet. A parent is named even where it isn't
    published, as something has a better figure and is faster.
    """
    told = {}
    for design in designs:
        one, parent = bare[design.name], design.parent
        tested, evidence = report.tested[design.name], report.evidence[design.name]
        told[design.name] = replace(
            one,
            parent=f"{one.family}-{parent.name}" if parent else None,
            metrics=_metrics(report, tested, evidence),
            evidence=_evidence(report, design.name, tested, evidence),
        )
    best = told[report.chosen]
    chosen = replace(best, name=best.family, config=renamed(best.config, best.family), chosen=best.name)
    # The family's name comes last: it changes when everything that it refers to is there.
    return [*told.values(), chosen]


def _metrics(report: CompressionReport, tested: Tested, evidence: Evidence) -> dict[str, float]:
    """Single figures in base units, fit for a gauge; speed-ups, shrink and drop are against the teacher."""
    headline, latency, speed = report.headline, tested.speed.latency_ms["1"], tested.speed
    found = {name: one.value for name, one in tested.figures.items()}
    found |= {f"{headline}_low": tested.figure.low, f"{headline}_high": tested.figure.high}
    found |= {
        "drop": tested.drop,
        "speedup_compute": tested.gain.compute,
        "speedup_latency": tested.gain.latency,
        "speedup_throughput": tested.gain.throughput,
        "shrink": tested.gain.size,
        "latency_p50_seconds": latency.p50 / 1e3,
        "latency_p99_seconds": latency.p99 / 1e3,
        "compute_seconds": speed.compute_ms["1"] / 1e3,
        "inputs_per_second": speed.per_second[str(speed.best_batch)],
        "size_bytes": float(tested.size),
        "memory_bytes": float(evidence.memory.own),
    }
    if evidence.energy.joules is not None:
        found["energy_joules"] = evidence.energy.joules
    return {name.replace(" ", "_"): value for name, value in found.items() if np.isfinite(value)}


def _evidence(report: CompressionReport, name: str, tested: Tested, evidence: Evidence) -> dict[str, Any]:
    """How the metrics were obtained, as plain JSON."""
    row = next(one for one in report.rows if one.variant == name)
    return {
        "measured": "through the service over HTTP, one client; variants in turns on the same cores; gains: medians of"
        " rounds, with the interval of the sign test; energy, memory and layers: the runtime alone, one thread",
        "intervals": "95 %; of figures and slices by a bootstrap over sources, of slices all at once; pairs: sign flips"
        " by source, exact, two-sided",
        "recipe": {"name": report.name, "profile": report.profile, "seed": report.seed},
        "search": _plain(
            {
                "budget": report.budget,
                "tried": len(report.rows),
                "front": report.front,
                "chosen": report.chosen,
                "ended": report.ended,
                "minutes": report.minutes,
                "verdict": report.verdict,
            }
        ),
        "made": {"network": row.network, "numbers": row.numbers, "runtime": row.runtime},
        "validation": _plain(row),
        "test": _plain(tested),
        "ran": _plain(evidence),
    }


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
