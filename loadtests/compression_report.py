"""The section of training/RESULTS.md that says what compression gains, by Hone and by the tools nearest to it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadtests import results
from loadtests.bench_recipe import FOLDER, TITLE
from loadtests.compression.target import Target
from loadtests.compression.variants import FLOAT, HONE
from loadtests.peers.environment import pinned

NAME = "compression"
PACKAGES = ("onnxruntime", "openvino", "numpy", "torch", "transformers")
ASKED = ("model", "asked", "fastest", "times as fast [range]", "relative error", "")
RIVALS = ("model, batch", "tool", "its fastest", "times as fast", "relative error", "Hone's with no larger error", "so")
ALL = ("variant", "relative error", "batch 1", "batch 8", "batch 16", "MB", "made in s", "said of speed")
Entry = Mapping[str, Any]


def ratios(entry: Entry, variant: Entry, batch: str) -> NDArray[np.float64]:
    """How many times as fast as float a variant was in each round."""
    own, reference = variant["seconds"][batch], entry["variants"][0]["seconds"][batch]
    found: NDArray[np.float64] = np.array(reference) / np.array(own)
    return found


def judged(entry: Entry, target: Target) -> dict[str, Any]:
    """A target with the fastest variant of Hone that it may be met by, and whether it is."""
    batch = str(target.batch)
    ours = [
        one
        for one in _measured(entry)
        if one["tool"] == HONE
        and one["numbers"] == target.numbers
        and (target.error is None or one["error"] < target.error)
    ]
    best = _fastest(entry, ours, batch)
    met = best is not None and bool(np.median(ratios(entry, best, batch)) >= target.faster)
    return {**msgspec.to_builtins(target), "fastest": None if best is None else best["name"], "met": met}


def table(entry: Entry) -> str:
    """All variants of a model."""
    return results.table(ALL, [_row(entry, one) for one in entry["variants"]])


def write(entry: Entry) -> None:
    """Renew a model's rows, and leave those of others that were measured on a machine like this one."""
    others = results.here(results.twin(NAME, folder=FOLDER).get("models", {}))
    entries = dict(sorted({**others, entry["name"]: entry}.items()))
    results.write(NAME, section(entries), {"models": entries}, folder=FOLDER, title=TITLE)


def section(entries: Mapping[str, Entry]) -> str:
    """The tables of all models that were measured."""
    about = max(entries.values(), key=lambda one: one["date"])
    models = "\n".join(f"**{one['title']}** ({_when(one)})\n\n{table(one)}" for one in entries.values())
    return f"""\
## Compression

last measured {results.told(about)}, olive-ai {pinned("olive")["olive-ai"]} · `python -m loadtests.bench_compression`

{results.table(ASKED, [row for one in entries.values() for row in _asked(one)])}
{results.table(RIVALS, [row for one in entries.values() for row in _rivals(one)])}
{models}
How many times as fast as the float file by ONNX Runtime: the median over rounds of ratios within a round [least,
largest]. All variants of a model took turns in one process, set up as the service's workers are. Weights are random, so
no figure here is an accuracy: the relative error is the length of the difference of answers to that of float's, on
inputs that ranges weren't learnt from. All learnt them from the same samples. `onnxruntime.quantization` and Olive by
their defaults, after the preparation that they ask for. One scale: for all weights of a product, instead of one for
each output. Dynamic files answer each row by its batch-mates, too, so that the service computes one request at a time
by them unless it is told otherwise. Made in: without a tool's own start. Said of speed: by the tool while it made the
file; Olive's latencies are of an evaluator that its workflow was given, and the file is its result either way."""


def _asked(entry: Entry) -> Sequence[Sequence[str]]:
    rows = []
    for target in entry["targets"]:
        bound = "" if target["error"] is None else f", error under {target['error']:.0%}"
        asked = f"{target['numbers']}: {target['faster']}x at batch {target['batch']}{bound}"
        best = next((one for one in entry["variants"] if one["name"] == target["fastest"]), None)
        told = ("none", "", "") if best is None else (best["name"], *_figures(entry, best, str(target["batch"])))
        rows.append((entry["title"], asked, *told, "met" if target["met"] else "missed"))
    return rows or [(entry["title"], "float is kept where INT8 is slower", *_kept(entry))]


def _kept(entry: Entry) -> Sequence[str]:
    """Of a model that integers aren't expected to gain anything for, what is best to have, at batch 1."""
    best = _fastest(entry, [one for one in _measured(entry) if one["tool"] == HONE], "1") or entry["variants"][0]
    return (best["name"], *_figures(entry, best, "1"), "float" if best["numbers"] == "float" else "INT8 gains here")


def _rivals(entry: Entry) -> Sequence[Sequence[str]]:
    """The fastest INT8 file of each other tool, and the fastest of Hone whose answers are no further from float's."""
    batch = str(entry["targets"][0]["batch"]) if entry["targets"] else "1"
    integers = [one for one in _measured(entry) if one["numbers"] == "INT8"]
    rows: list[Sequence[str]] = []
    for tool in dict.fromkeys(one["tool"] for one in entry["variants"] if one["tool"] != HONE):
        theirs = _fastest(entry, [one for one in integers if one["tool"] == tool], batch)
        if theirs is None:
            rows.append((f"{entry['title']}, {batch}", tool, "none", "", "", "", ""))
            continue
        ours = [one for one in _measured(entry) if one["tool"] == HONE and one["error"] <= theirs["error"]]
        best = _fastest(entry, ours, batch) or entry["variants"][0]
        faster = np.median(np.array(theirs["seconds"][batch]) / np.array(best["seconds"][batch]))
        rows.append(
            (
                f"{entry['title']}, {batch}",
                tool,
                theirs["name"],
                *_figures(entry, theirs, batch),
                f"{best['name']}: {', '.join(_figures(entry, best, batch))}",
                f"{faster:.2f}x as fast",
            )
        )
    return rows


def _row(entry: Entry, variant: Entry) -> Sequence[str]:
    if variant["failed"]:
        return (variant["name"], f"failed: {variant['failed']}", *[""] * 6)
    is_file = ", openvino" not in variant["name"] and variant["name"] != FLOAT
    return (
        variant["name"],
        f"{variant['error']:.2%}",
        *(_times(entry, variant, batch) for batch in variant["seconds"]),
        f"{variant['bytes'] / 1e6:.2f}",
        f"{variant['made_in']:.1f}" if is_file else "",
        variant["remark"] if is_file else "",
    )


def _figures(entry: Entry, variant: Entry, batch: str) -> tuple[str, str]:
    return _times(entry, variant, batch), f"{variant['error']:.2%}"


def _times(entry: Entry, variant: Entry, batch: str) -> str:
    found = ratios(entry, variant, batch)
    return f"{np.median(found):.2f} [{found.min():.2f}-{found.max():.2f}]"


def _measured(entry: Entry) -> list[Entry]:
    return [one for one in entry["variants"] if one["seconds"]]


def _fastest(entry: Entry, variants: Sequence[Entry], batch: str) -> Entry | None:
    return max(variants, key=lambda one: float(np.median(ratios(entry, one, batch))), default=None)


def _when(entry: Entry) -> str:
    threads = "one thread" if entry["threads"] == 1 else f"{entry['threads']} threads"
    return f"{entry['date']}, {entry['commit']}; {threads}, {entry['rounds']} rounds"
