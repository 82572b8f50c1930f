"""What a variant is: which network, in which numbers, computed by which runtime."""

import math
from dataclasses import dataclass, replace

from training.runtime import ONNX_RUNTIME, Runtime

TEACHER = "teacher"
FLOAT = "f32"
SHARES = (0.5, 0.25, 0.12, 0.06, 0.03, 0.015)
"""What is kept of the teacher's multiply-adds, one after the other."""
NEAR = 1.25
"""A share that is so many times another one, or less, is about the same."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network: the teacher, or one made of it by a `route`, of that `share` of the teacher's multiply-adds.

    A `remedy` is how it learns where what is usual wasn't quite enough.
    """

    route: str = TEACHER
    share: float = 1.0
    remedy: str = ""

    @property
    def name(self) -> str:
        """As models are named: `student25` has a quarter of the multiply-adds, `student25-hinted` a remedy besides."""
        if self.route == TEACHER:
            return self.route
        made = f"{self.route}{100 * self.share:.3g}".replace(".", "_")
        return f"{made}-{self.remedy}" if self.remedy else made

    @property
    def between(self) -> bool:
        """Whether its share is none of those that are tried first."""
        return self.share not in (1.0, *SHARES)

    @property
    def larger(self) -> "Network":
        """The next larger one, made and taught in the same way; the teacher where there is none."""
        above = [share for share in SHARES if share > self.share]
        return replace(self, share=above[-1]) if above else Network()

    @property
    def smaller(self) -> "Network | None":
        """The next smaller one that is tried, if there is one."""
        below = [share for share in SHARES if share < self.share]
        return replace(self, share=below[0]) if below else None


def usual(share: float) -> float:
    """The one of those which are tried that is near to `share`, or, as there is none, the share itself, rounded."""
    nearest = min(SHARES, key=lambda one: abs(math.log(share / one)))
    return nearest if max(nearest / share, share / nearest) <= NEAR else float(f"{share:.3g}")


@dataclass(frozen=True, kw_only=True)
class Design:
    """A variant of a model. `numbers` name how the file keeps and computes them: `f32`, or a method of quantization."""

    network: Network = Network()
    numbers: str = FLOAT
    runtime: Runtime = ONNX_RUNTIME

    @property
    def name(self) -> str:
        """The variant's name, in which what is usual isn't said."""
        parts = [self.network.name]
        if self.numbers != FLOAT:
            parts.append(self.numbers)
        if self.runtime != ONNX_RUNTIME:
            parts.append(str(self.runtime))
        return "-".join(parts)

    @property
    def parent(self) -> "Design | None":
        """What it was made from: the same file for the usual runtime, the same network in floating point, the teacher.

        None for the teacher.
        """
        if self.runtime != ONNX_RUNTIME:
            return replace(self, runtime=ONNX_RUNTIME)
        if self.numbers != FLOAT:
            return replace(self, numbers=FLOAT)
        return None if self.network == Network() else Design()
