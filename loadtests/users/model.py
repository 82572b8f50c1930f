"""What users know of the model that they ask: its input and output, images of its size, and what is no answer."""

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from locust import User, constant_throughput
from numpy.typing import NDArray

from loadtests.digits import images

NAME = os.environ.get("HONE_LOADTEST_MODEL", "digits")
SETUP = "metadata"
"""Name of the request by which a user finds out what to ask."""

LARGEST = 8
"""Images in a request, for kinds that send several."""

PAUSE_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """Name, datatype and shape of its only input, the name of its output, and digits that it takes."""

    input: Mapping[str, Any]
    output: str
    images: NDArray[np.uint8]

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Self:
        """From the server's own description of it."""
        taken = metadata["inputs"][0]
        return cls(input=taken, output=metadata["outputs"][0]["name"], images=images(int(taken["shape"][-1])))

    def some(self, count: int) -> NDArray[np.uint8]:
        """So many random digits, uint8 [count, 1, side, side]."""
        return self.images[random.sample(range(len(self.images)), count)]

    def shape(self, count: int) -> list[int]:
        """The input's shape with so many images."""
        return [count, *(int(axis) for axis in self.input["shape"][1:])]

    def tensor(self, count: int) -> dict[str, Any]:
        """The input in JSON, without its data."""
        return {"name": self.input["name"], "shape": self.shape(count), "datatype": self.input["datatype"]}


def problem(values: Any, count: int) -> str | None:
    """What is wrong with the probabilities of `count` images, if anything."""
    probabilities = np.asarray(values, dtype=np.float64)
    if probabilities.size % count or not probabilities.size:
        return f"{probabilities.size} values for {count} images"
    sums = probabilities.reshape(count, -1).sum(axis=1)
    return None if np.allclose(sums, 1, atol=1e-3) else f"probabilities add up to {sums.min():.3f}-{sums.max():.3f}"


def pause(user: User) -> float:
    """Seconds until a user asks again: what is left of its share of a second with `--pace`, else a moment."""
    pace = _pace(user)
    return float(constant_throughput(pace)(user)) if pace else random.uniform(0, PAUSE_SECONDS)


def first_pause(user: User) -> float:
    """Seconds before a user's first request: with `--pace` some, so that users who begin together ask spread out."""
    pace = _pace(user)
    return random.uniform(0, 1 / pace) if pace else 0.0


def _pace(user: User) -> float:
    options: Any = user.environment.parsed_options
    return float(options.pace)
