"""The section of training/RESULTS.md that says what the compression search comes to, beside what others search."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadtests import results
from loadtests.bench_recipe import FOLDER, TITLE
from loadtests.compression.variants import HONE
from loadtests.peers.environment import pinned
from loadtests.search.beside import BATCHES
from loadtests.search.cases import CASES, Case, Wanted
from loadtests.search.paces import CHOSEN, Entry, Turns, batches, by_kind, ratios
from loadtests.search.rivals import MAX_DROP
from loadtests.search.searched import Searched
from training.compression.search.budget import gained
from training.compression.search.design import FLOAT, TEACHER

NAME = "search"
PACKAGES = ("onnxruntime", "openvino", "numpy", "torch")
ASKED = ("model", "asked", "chosen", "times as fast [range]", "times as small", "lost", "in pairs", "minutes", "")
SERVED = ("model", "variant", "headline on the test part [95 %]", "compute", "throughput", "size", "p50 ms", "CPU µs")
ALONE = ("model", "work", *(f"{size} rows" if size > 1 else "1 row" for size in BATCHES))
FORMS = ("model", "form", "by the objective", "lost", "what ran, and why it isn't faster")
RIVALS = ("model", "by", "fidelity lost", "batch 1", "batch 8", "batch 32", "MB", "seconds", "said of speed")


def told(case: Case, searched: Searched, turns: Mapping[str, Turns]) -> dict[str, Any]:
    """What a search came to, as data: by its own report, and by the `turns` of the teacher's file and the chosen."""
    report, objective = searched.report, searched.report.budget.objective
    tested = {name: report.tested[name] for name in (TEACHER, report.chosen)}
    entry = {
        **results.circumstances(PACKAGES),
        "name": case.name,
        "title": case.title,
        "recipe": f"{report.name} ({report.profile})",
        "objective": objective,
        "wanted": msgspec.to_builtins(case.wanted),
        "headline": report.headline,
        "chosen": report.chosen,
        "minutes": report.minutes,
        "allowed": report.budget.minutes,
        "ended": report.ended,
        "verdict": report.verdict,
        "tested": msgspec.to_builtins(tested),
        "evidence": {name: str(report.evidence[name]) for name in tested},
        "forms": [
            {
                "variant": one.variant,
                "gain": gained(one.gain, objective),
                "drop": one.drop,
                "why": str(report.evidence.get(one.variant, "")),
            }
            for one in report.rows
            if one.network == TEACHER and one.numbers != FLOAT and one.gain is not None
        ],
        "ladder": results.twin(f"{case.ladder}-ladder", folder=FOLDER).get("padding") if case.ladder else None,
        "turns": {file: by_kind(own) for file, own in turns.items()},
    }
    return {**entry, "met": None if case.wanted is None else met(entry, case.wanted)}


def judged(entry: Entry) -> str:
    """What became of what was asked; of a model that should stay in float, whether it does."""
    if entry["met"] is None:
        return "float is kept" if entry["chosen"] == TEACHER else f"not float: {entry['chosen']}"
    return "met by the file" if entry["met"] else "missed"


def section(searches: Mapping[str, Entry], rivals: Mapping[str, Entry]) -> str:
    """All tables."""
    entries = [*searches.values(), *rivals.values()]
    about = max(entries, key=lambda one: str(one["date"]))
    verdicts = "\n".join(f"- *{one['title']}*, {_when(one)}: {_sentence(one)}" for one in searches.values())
    peers = ", ".join(f"{name} {version}" for one in ("olive", "optimum") for name, version in _first(one))
    return f"""\
## The compression search

last measured {results.told(about)}, {peers} · `python -m loadtests.bench_search`

{_if_any(ASKED, [_asked(one) for one in searches.values()])}
{_if_any(SERVED, [row for one in searches.values() for row in _served(one)])}
{_if_any(ALONE, [row for one in searches.values() for row in _alone(one)])}
{_if_any(FORMS, [row for one in searches.values() if one["met"] is None for row in _forms(one)])}
{verdicts}

Each row is a search by `hone-train compress` for variants that lose at most what is asked of the headline figure, as a
share of the teacher's, by the profile that is named below; `--minutes` may have ended it. Minutes in the table are
those of all its steps, the teacher's own fit among them. Times as fast:
the file that was chosen, in its runtime, over the teacher's in ONNX Runtime, both in float 32 outside: in turns in one
process, one thread each, the median over rounds of ratios within a round [least, largest]; at the batch that is named,
or each at its best, both of which stand behind (the chosen's first). That is what is judged, with what is lost on the
test part, which has no say in the search but that it may refute its choice: files, at batches that many requests at
once make. A lone request and the service, whose own work stays, gain less, as the next tables say; so the search, which
goes by the service, may say that the same factor was missed. Rows are of the dates and commits below. In the service:
the search's own figures beside the teacher, served too: the worker's time at batch 1, inputs a second each at its best
batch, the file's size, whole requests; CPU: the processor's time of the file alone for one row.

{_contests(rivals)}"""


def _contests(rivals: Mapping[str, Entry]) -> str:
    """Hone beside others, if that was measured."""
    if not rivals:
        return ""
    return f"""\
{_if_any(RIVALS, [row for one in rivals.values() for row in _rivals(one)])}
The same ONNX files and training samples, given to whoever compresses without training. Hone's search and Olive's learn
ranges from one half of the samples and ask the other; Olive's goes through all settings of its quantization for the
least latency with at most 1 % of classes changed, Hone's for the least latency with at most 1 % of the fidelity lost,
and with as much lost as by another tool, where that loses more. optimum-onnx by its preset `avx512_vnni`. Fidelity: 1
less the distance to the float file's answers as a share of their length, here on test inputs. Times as fast as the
float file by ONNX Runtime, all in turns in one process, one thread each; of others than Hone, in brackets, how many
times as fast Hone's is that may lose no more. Seconds are those of whole commands; a second search by Hone finds what
the first did. Said of speed: by Hone its verdict, by others whether what they printed has a latency or a warning. Olive
hands over the fastest of its quantized files, and the float one isn't among them."""


def write(searches: Mapping[str, Entry], rivals: Mapping[str, Entry]) -> None:
    """Renew these rows, and leave others that were measured on a machine like this one."""
    before = results.twin(NAME, folder=FOLDER)
    kept = {
        kind: {**results.here(before.get(kind, {})), **new}
        for kind, new in (("searches", searches), ("rivals", rivals))
    }
    results.write(NAME, section(kept["searches"], kept["rivals"]), kept, folder=FOLDER, title=TITLE)


def met(entry: Entry, wanted: Wanted) -> bool:
    """Whether the chosen one is as fast, as small and as good as is wanted."""
    found = entry["tested"][entry["chosen"]]
    faster = float(np.median(ratios(entry, wanted.batch)))
    return faster >= wanted.faster and found["gain"]["size"] >= wanted.smaller and found["drop"] <= wanted.max_drop


def _asked(entry: Entry) -> Sequence[str]:
    wanted, found = entry["wanted"], entry["tested"][entry["chosen"]]
    batch = wanted["batch"] if wanted else 1
    asked = "float is kept where integers lose"
    if wanted:
        where = f"at batch {batch}" if batch else "each at its best batch"
        asked = f"{wanted['faster']:g}x as fast {where}, at most {wanted['max_drop']:.0%} lost"
        asked += f", {wanted['smaller']:g}x as small" if wanted["smaller"] > 1 else ""
    return (
        entry["title"],
        asked,
        entry["chosen"],
        f"{_range(ratios(entry, batch))}, {batches(entry, batch)}",
        f"{found['gain']['size']:.1f}",
        f"{found['drop']:.2%}",
        (found["against_teacher"] or {}).get("verdict", ""),
        f"{entry['minutes']:.1f}",
        judged(entry),
    )


def _served(entry: Entry) -> Sequence[Sequence[str]]:
    rows = []
    for name, one in entry["tested"].items():
        figure, gain = one["figure"], one["gain"]
        turns = next(iter(entry["turns"][TEACHER if name == TEACHER else CHOSEN].values()))["1"]
        rows.append(
            (
                entry["title"],
                name,
                f"{entry['headline']} {figure['value']:.4g} [{figure['low']:.4g}, {figure['high']:.4g}]",
                f"{gain['compute']:.2f}x",
                f"{gain['throughput']:.2f}x",
                f"{gain['size']:.1f}x: {one['size'] / 1e3:.0f} KB",
                f"{one['speed']['latency_ms']['1']['p50']:.2f}",
                f"{np.median([turn['cpu'] for turn in turns]) * 1e6:,.0f}",
            )
        )
    return rows


def _alone(entry: Entry) -> Sequence[Sequence[str]]:
    return [
        (entry["title"], kind, *(_range(ratios(entry, size, kind)) for size in BATCHES))
        for kind in entry["turns"][TEACHER]
    ]


def _forms(entry: Entry) -> Sequence[Sequence[str]]:
    """What became of the teacher's weights in other numbers, where nothing of it is faster."""
    return [
        (
            entry["title"],
            one["variant"],
            f"{one['gain']:.2f}x by {entry['objective']}",
            f"{one['drop']:.2%}",
            one["why"],
        )
        for one in entry["forms"]
    ]


def _sentence(entry: Entry) -> str:
    """The search's own verdict, what ran, and whether the teacher has more weights than its task asks for."""
    allowed = f" of {minutes:g} minutes" if (minutes := entry.get("allowed")) else ""
    time = f"the time{allowed} was up; " if entry["ended"] == "time" else ""
    said = f"{time}{entry['verdict']}; {entry['chosen']}: {entry['evidence'][entry['chosen']]}."
    said += f" {case.about}" if (case := CASES.get(entry["name"])) and case.about else ""
    if (padding := entry["ladder"]) is None:
        return said
    padded = "padded" if padding["padded"] else "not padded"
    half = "-".join(map(str, padding["half"]["widths"]))
    points = -padding["difference"] * 100
    return f"{said} The teacher is {padded}: the best of half its size or less ({half}) comes to {points:+.2f} points."


def _rivals(entry: Entry) -> Sequence[Sequence[str]]:
    rows: list[Sequence[str]] = []
    given, *contenders = entry["contenders"]
    for one in contenders:
        if one["failed"]:
            rows.append((entry["title"], f"{one['name']}: failed: {one['failed']}", *[""] * 7))
            continue
        rows.append(
            (
                entry["title"],
                one["name"],
                f"{one['lost']:.2%}",
                *(_beside(entry, given, one, batch) for batch in one["seconds"]),
                f"{one['bytes'] / 1e6:.2f}",
                f"{one['made_in']:.0f}",
                one["said"],
            )
        )
    return rows


def _beside(entry: Entry, given: Entry, one: Entry, batch: str) -> str:
    """How many times as fast as the float file, and how many times Hone's own is that was allowed no more."""
    own = np.array(one["seconds"][batch])
    times = _range(np.array(given["seconds"][batch]) / own)
    if one["tool"] == HONE:
        return times
    ours = [other for other in entry["contenders"] if other["tool"] == HONE and other["allowed"] <= _allowed(one)]
    best = np.array(max(ours, key=lambda other: float(other["allowed"]))["seconds"][batch])
    return f"{times} ({np.median(own / best):.2f}x)"


def _allowed(one: Entry) -> float:
    """What Hone may lose beside another tool: as much, or a hundredth where that is less."""
    return max(round(float(one["lost"]), 3), MAX_DROP)


def _if_any(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return results.table(header, rows) if rows else ""


def _range(ratios: NDArray[np.float64]) -> str:
    return f"{np.median(ratios):.2f} [{ratios.min():.2f}-{ratios.max():.2f}]"


def _first(name: str) -> Sequence[tuple[str, str]]:
    return list(pinned(name).items())[:1]


def _when(entry: Entry) -> str:
    return f"{entry['recipe']}, {entry['date']}, {entry['commit']}"
