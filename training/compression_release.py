"""Turns what a search found into releases: what is published under which name, and what each card says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from training.compression.search.design import Design, Network
from training.compression_report import CompressionReport, Tested
from training.model_config import renamed
from training.publish import Release
from training.steps.explaining import Evidence

Forms = Mapping[Network, Mapping[str, Release]]
"""What else networks are served as, in floating point, by the form's name."""


def releases(
    report: CompressionReport, bare: Mapping[str, Release], forms: Forms, designs: Sequence[Design]
) -> list[Release]:
    """A release of every variant under its own name, and of the chosen one again under the family's.

    `bare` are those of `designs` by their names, of which nothing is told yet, as of the other `forms` of their
    networks; those of the chosen one's are published again behind the family's name. A parent is named even where it
    isn't published, as something has a better figure and is faster.
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
    others = {
        network: {form: _other(report, network, one) for form, one in each.items()} for network, each in forms.items()
    }
    network = next(one.network for one in designs if one.name == report.chosen)
    again = []
    for form, one in others.get(network, {}).items():
        name = f"{one.family}-{form}"
        again.append(replace(one, name=name, variant=form, config=renamed(one.config, name), chosen=one.name))
    # The family's name comes last: it changes when everything that it refers to is there.
    return [*told.values(), *(one for each in others.values() for one in each.values()), *again, chosen]


def _other(report: CompressionReport, network: Network, form: Release) -> Release:
    """A form that wasn't measured, with the figures of the one that was, where that is among the variants."""
    tested = report.tested.get(Design(network=network).name)
    return replace(
        form,
        parent=f"{form.family}-{network.name}",
        metrics=_numbers(_figures(report, tested)) if tested else {},
        evidence={
            "measured": "compared with the network, of which another form was measured: figures are that one's",
            **_origin(report),
            **form.evidence,
        },
    )


def _metrics(report: CompressionReport, tested: Tested, evidence: Evidence) -> dict[str, float]:
    """Single figures in base units, fit for a gauge; speed-ups, shrink and drop are against the teacher."""
    latency, speed = tested.speed.latency_ms["1"], tested.speed
    found = _figures(report, tested) | {
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
    return _numbers(found)


def _figures(report: CompressionReport, tested: Tested) -> dict[str, float]:
    """What answers are worth."""
    found = {name: one.value for name, one in tested.figures.items()}
    return found | {f"{report.headline}_low": tested.figure.low, f"{report.headline}_high": tested.figure.high}


def _numbers(found: Mapping[str, float]) -> dict[str, float]:
    return {name.replace(" ", "_"): value for name, value in found.items() if np.isfinite(value)}


def _evidence(report: CompressionReport, name: str, tested: Tested, evidence: Evidence) -> dict[str, Any]:
    """How the metrics were obtained, as plain JSON."""
    row = next(one for one in report.rows if one.variant == name)
    return {
        "measured": "through the service over HTTP, one client; variants in turns on the same cores; gains: medians of"
        " rounds, with the interval of the sign test, of less than six rounds their range;"
        " energy, memory and layers: the runtime alone, one thread",
        "intervals": "95 %; of figures and slices by a bootstrap over sources, of slices all at once; pairs: sign flips"
        " by source, exact, two-sided",
        **_origin(report),
        "made": {"network": row.network, "numbers": row.numbers, "runtime": row.runtime},
        "validation": _plain(row),
        "test": _plain(tested),
        "ran": _plain(evidence),
    }


def _origin(report: CompressionReport) -> dict[str, Any]:
    """Which search it was found by."""
    return {
        "recipe": {"name": report.name, "profile": report.profile, "seed": report.seed},
        "search": _plain(
            {
                "budget": report.budget,
                "tried": len(report.rows),
                "front": report.front,
                "chosen": report.chosen,
                "refuted": report.refuted,
                "ended": report.ended,
                "minutes": report.minutes,
                "verdict": report.verdict,
            }
        ),
    }


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
