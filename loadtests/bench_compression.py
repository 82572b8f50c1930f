"""Compressed models against float on the same cores: `make bench-compression` writes the table of training/RESULTS.md.

Every model is made into INT8 by Hone, by `onnxruntime.quantization` with its defaults and by Microsoft Olive with its
own, and all files take turns in one process, with ONNX Runtime and with OpenVINO. Parts merge: who names models renews
their rows only. Models have random weights, so what is lost is told by how far answers are from float's. The exit code
is 1 if a target was missed. With `--quick` it is shown in a minute that everything works, and nothing is written.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from loadtests import compression_report, results
from loadtests.compression.race import batched, errors, opened, race
from loadtests.compression.subjects import SUBJECTS, Subject
from loadtests.compression.variants import VARIANTS, Made, Task, make, remark
from loadtests.peers.environment import add_option

BATCHES = (1, 8, 16)
LEARNT, ASKED = 1, 2
"""Seeds of the inputs that ranges are learnt from, and of those that answers are compared on."""
TURN_SECONDS = 0.15


def main() -> int:
    """Measure, print and write; 1 when a target is missed."""
    options = _options()
    met = []
    for name in options.models or SUBJECTS:
        print(f"{name} ...", flush=True)
        entry = measure(SUBJECTS[name], options.environments, threads=options.threads, rounds=options.rounds)
        met += [target["met"] for target in entry["targets"]]
        print(compression_report.table(entry), flush=True)
        if not options.quick:
            compression_report.write(entry)
    return 0 if all(met) else 1


def measure(subject: Subject, environments: Path, *, threads: int, rounds: int) -> dict[str, Any]:
    """What a model's variants came to."""
    with tempfile.TemporaryDirectory(prefix="hone-compression-") as scratch:
        folder = Path(scratch)
        model = folder / "model.onnx"
        subject.write(model)
        task = Task(model=model, input=subject.input, samples=subject.rows(subject.samples, LEARNT))
        made = make(task, folder, environments)
        rows = subject.rows(max(BATCHES), ASKED)
        answers, failed = opened(made, rows, threads)
        apart = errors(answers, rows)
        turns = race(batched(answers, [rows], BATCHES), rounds=rounds, seconds=TURN_SECONDS)
        found = [
            {
                "name": one.name,
                "numbers": one.numbers,
                **_of_file(made[one.of]),
                "failed": failed.get(one.name, ""),
                "error": apart.get(one.name),
                "seconds": {str(size): [turn.seconds for turn in own] for size, own in turns.get(one.name, {}).items()},
            }
            for one in VARIANTS
        ]
    entry = {
        **results.circumstances(compression_report.PACKAGES),
        "name": subject.name,
        "title": subject.title,
        "threads": threads,
        "rounds": rounds,
        "variants": found,
    }
    return {**entry, "targets": [compression_report.judged(entry, target) for target in subject.targets]}


def _of_file(made: Made) -> dict[str, Any]:
    size = made.path.stat().st_size if made.path.exists() else None
    return {"tool": made.tool, "bytes": size, "made_in": made.seconds, "remark": remark(made.said)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_compression", description=__doc__)
    parser.add_argument("models", nargs="*", choices=[[], *SUBJECTS], help=f"which of {', '.join(SUBJECTS)} (all)")
    parser.add_argument("--threads", type=int, default=1, help="threads of every runtime (1)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of every variant at every batch size (9)")
    parser.add_argument("--quick", action="store_true", help="two rounds, and no table is written")
    add_option(parser)
    options = parser.parse_args()
    if options.quick:
        options.rounds = 2
    return options


if __name__ == "__main__":
    sys.exit(main())
