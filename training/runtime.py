"""What computes a model file on a CPU, and in which precision where the file says floating point."""

from dataclasses import dataclass

from service.artifact.parameters import Precision


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """A `backend` of the service, at a `precision`."""

    backend: str = "onnxruntime"
    precision: Precision = "f32"

    def __str__(self) -> str:
        return self.backend if self.precision == "f32" else f"{self.backend}-{self.precision}"


ONNX_RUNTIME = Runtime()
OPENVINO = Runtime(backend="openvino")
OPENVINO_BF16 = Runtime(backend="openvino", precision="bf16")
