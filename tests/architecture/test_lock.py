"""The lock covers what is asked for, and says nothing else."""

import re
import tomllib
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.sources import ROOT

PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
)
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
APART = "torch"


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    return [Requirement(line) for line in lines]


def test_every_requirement_is_locked() -> None:
    """Each direct requirement of each extra has a pin that satisfies it; `make lock` renews them."""
    unmet = [
        str(one)
        for one in requirements()
        if one.name != APART and not one.specifier.contains(PINS.get(canonicalize_name(one.name), "0"))
    ]

    assert [] == unmet


def test_torch_is_apart() -> None:
    """torch isn't in the lock, nor are the CUDA libraries of some of its builds; the training extra pins it."""
    (torch,) = [one for one in requirements() if one.name == APART]

    assert str(torch.specifier).startswith("==")
    libraries = [name for name in PINS if name.startswith(("nvidia-", "cuda-"))]
    assert ["nvidia-ml-py"] == libraries  # no CUDA: it asks the driver how busy GPUs are
    assert APART not in PINS


def test_one_exact_version_a_line() -> None:
    """Every line is a name and a version, in order: no address, no range, no option."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]

    assert [] == [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9A-Za-z.!+]*", line)]
    assert sorted(PINS) == list(PINS)
