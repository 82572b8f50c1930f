"""`python -m loadtests.workloads W3 FILE` makes a workload's network and writes it to FILE."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from loadtests.workloads import half, mlp, networks

BUILDERS: Mapping[str, Callable[[], bytes]] = {
    "W1": mlp.build,
    "W2": networks.small_images,
    "W3": lambda: networks.encoder(32),
    "W4": networks.resnet18,
    "W4-uint8": networks.resnet18_of_pixels,
    "W5": lambda: networks.encoder(64),
    "G1": half.resnet50,
    "G2": lambda: half.bert_base(128),
}


def main() -> None:
    """Write under another name first: whoever is stopped half-way leaves no half file in the cache."""
    name, path = sys.argv[1], Path(sys.argv[2])
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(BUILDERS[name]())
    part.rename(path)


if __name__ == "__main__":
    main()
