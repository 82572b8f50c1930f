"""What a soak comes to: how every request ended, what happened besides, how memory went; as JSON and as Markdown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from loadtests import results
from loadtests.soaking.stage import ALLOWED, Stage
from loadtests.soaking.vitals import MIB, Trend, trend

NAME = "soak"
PACKAGES = ("onnxruntime", "openvino", "uvicorn", "uvloop", "tritonclient")
WARM_SHARE = 0.5
"""What is left out of the memory's trend at the beginning, while bounded caches fill. In one soak of ten minutes the
front stayed what it was from five and a half minutes on, in another it rose a little until the end.
"""

GROWTH, LEAST = 0.015, 1 * MIB
"""What memory may grow by over the rest: a share of itself, or so many bytes."""

ENOUGH_SECONDS = 120.0
"""A shorter trend is the warm-up's, and isn't held against the bound."""

ROLES = ("role", "requests", "ended", "slowest, s")
MEMORY = ("service", "process", "first MiB", "last MiB", "growth KiB/min", "bound MiB", "verdict")


def figures(stages: Sequence[Stage], *, seconds: float, seed: int) -> dict[str, Any]:
    """Everything, and whether all was well."""
    memory = [one for stage in stages for one in _memory(stage)]
    wrong = [f"{stage.mode}: {one}" for stage in stages for one in stage.wrong]
    wrong += [f"{one['mode']}: memory of the {one['process']} grew" for one in memory if not one["met"]]
    return {
        "bench": NAME,
        **results.circumstances(PACKAGES),
        "seconds": seconds,
        "seed": seed,
        "roles": [one for stage in stages for one in _roles(stage)],
        "troubles": {stage.mode: dict(sorted(stage.troubles.done.items())) for stage in stages},
        "memory": memory,
        "most": {stage.mode: _most(stage) for stage in stages},
        "series": {stage.mode: _series(stage) for stage in stages},
        "wrong": wrong,
        "met": not wrong,
    }


def write(found: Mapping[str, Any]) -> str:
    """Renew the section and its twin; returns the section."""
    text = section(found)
    results.write(NAME, text, found)
    return text


def section(found: Mapping[str, Any]) -> str:
    """The section of RESULTS.md."""
    roles: dict[str, Counter[str]] = {}
    slowest: dict[str, float] = {}
    for one in found["roles"]:
        roles.setdefault(one["role"], Counter()).update(one["kinds"])
        slowest[one["role"]] = max(one["slowest"], slowest.get(one["role"], 0.0))
    rows = [(role, f"{kinds.total():,}", _told(kinds), f"{slowest[role]:.1f}") for role, kinds in roles.items()]
    troubles = "\n".join(f"* {mode}: {_told(done)}" for mode, done in found["troubles"].items())
    verdict = "\n".join(f"* **{one}**" for one in found["wrong"]) or "* nothing was wrong"
    return f"""\
## Soak: {found["seconds"] / 60:g} minutes of swaps, kills and bad clients

{results.told(found)}

`make soak` (seed {found["seed"]}): two services, one polls its repository, one is told by the routes. Every answer's
numbers are compared with those of the weights that it names.

{results.table(ROLES, rows)}
{troubles}

{results.table(MEMORY, [_row(one) for one in found["memory"]])}
{verdict}"""


def _roles(stage: Stage) -> list[dict[str, Any]]:
    ledger = stage.scene.ledger
    return [
        {
            "mode": stage.mode,
            "role": role,
            "kinds": dict(ledger.kinds(role).most_common()),
            "slowest": ledger.slowest.get(role, 0.0),
        }
        for role in ALLOWED
        if ledger.kinds(role)
    ]


def _memory(stage: Stage) -> list[dict[str, Any]]:
    """The trend of the front's own memory, and of the mean of its workers': those come and go."""
    begun = stage.vitals[0].at
    length = stage.vitals[-1].at - begun
    kept = [one for one in stage.vitals if one.at - begun >= WARM_SHARE * length]
    if len(kept) < 2:
        return []
    times = [one.at for one in kept]
    return [
        _judged(stage.mode, process, trend(times, sizes))
        for process, sizes in (("front", [one.front for one in kept]), ("mean worker", [one.worker for one in kept]))
    ]


def _judged(mode: str, process: str, found: Trend) -> dict[str, Any]:
    return {
        "mode": mode,
        "process": process,
        "begin": found.begin,
        "end": found.end,
        "slope": found.slope,
        "seconds": found.seconds,
        "bound": max(GROWTH * found.begin, LEAST),
        "judged": found.seconds >= ENOUGH_SECONDS,
        "met": found.seconds < ENOUGH_SECONDS or found.flat(GROWTH, LEAST),
    }


def _most(stage: Stage) -> dict[str, int]:
    """The most of everything that was held at a time."""
    return {
        key: max(getattr(one, key) for one in stage.vitals) for key in ("workers", "descriptors", "shared", "threads")
    }


def _series(stage: Stage) -> list[dict[str, float]]:
    """Every tenth look: seconds from the beginning, MiB of the front and of the mean worker, descriptors."""
    begun = stage.vitals[0].at
    return [
        {
            "seconds": round(one.at - begun, 1),
            "front": round(one.front / MIB, 2),
            "worker": round(one.worker / MIB, 2),
            "descriptors": one.descriptors,
        }
        for one in stage.vitals[::10]
    ]


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    judged = "flat" if one["met"] else "**grew**"
    return (
        one["mode"],
        one["process"],
        f"{one['begin'] / MIB:.1f}",
        f"{one['end'] / MIB:.1f}",
        f"{one['slope'] * 60 / 1024:+.0f}",
        f"{one['bound'] / MIB:.1f}",
        judged if one["judged"] else "too short to tell",
    )


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
