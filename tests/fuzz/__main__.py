"""`python -m tests.fuzz`: runs targets for as long as is wanted. What breaks something is kept in runs/fuzz."""

import argparse
import hashlib
import sys
import traceback
from pathlib import Path

from tests.fuzz.campaign import Finding, run
from tests.fuzz.target import Target, resident
from tests.fuzz.targets import region, targets

_KEPT = Path("runs/fuzz")
_MOST_GROWTH = 256 << 20
"""Bytes by which the process may grow: some memory is protobuf's, which Python doesn't count."""


def main(arguments: list[str] | None = None) -> int:
    """0 when nothing was found, else 1."""
    with region() as memory:
        known = targets(memory)
        parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
        parser.add_argument("--target", action="append", choices=list(known), help="all of them, unless one is named")
        parser.add_argument("--seconds", type=float, default=60, help="for each target")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--replay", type=Path, help="one sample that was kept, for the target that is named")
        options = parser.parse_args(arguments)
        chosen = [known[name] for name in options.target or known]
        if options.replay:
            if len(chosen) != 1:
                parser.error("--replay needs one --target")
            print(chosen[0].probe(options.replay.read_bytes()))
            return 0
        return max(_fuzz(target, options.seed, options.seconds) for target in chosen)


def _fuzz(target: Target, seed: int, seconds: float) -> int:
    before = resident()
    try:
        print(run(target, seed=seed, seconds=seconds), flush=True)
    except Finding as found:
        _KEPT.mkdir(parents=True, exist_ok=True)
        path = _KEPT / f"{target.name}-{hashlib.sha256(found.sample).hexdigest()[:12]}"
        path.write_bytes(found.sample)
        traceback.print_exception(found.__cause__)
        print(f"{target.name}: kept as {path}; again by --target {target.name} --replay {path}", flush=True)
        return 1
    grown = resident() - before
    if grown > _MOST_GROWTH:
        print(f"{target.name}: the process has grown by {grown} bytes", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
