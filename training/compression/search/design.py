"""What a variant is: which network, in which numbers, computed by which runtime."""

from dataclasses import dataclass, replace

from training.runtime import ONNX_RUNTIME, Runtime

TEACHER = "teacher"
FLOAT = "f32"


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network: the teacher, or one made of it by a `route`, of that `share` of the teacher's multiply-adds."""

    route: str = TEACHER
    share: float = 1.0

    @property
    def name(self) -> str:
        """As models are named: `student25` has a quarter of the teacher's multiply-adds."""
        return self.route if self.route == TEACHER else f"{self.route}{100 * self.share:.3g}".replace(".", "_")


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
