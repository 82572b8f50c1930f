"""What the catalog and the engine see of a generation, wherever it is computed."""

from typing import Protocol

from service.artifact.config import ModelConfig
from service.engine.exchange import Exchange, Receiver
from service.messages import InferRequest
from service.metrics import ModelMetrics


class Model(Protocol):
    """One generation of one model version."""

    name: str
    version: str
    metrics: ModelMetrics

    @property
    def config(self) -> ModelConfig:
        """The configuration, completed from the model itself. Raises NotReady before that is possible."""

    @property
    def ready(self) -> bool:
        """Whether somebody is there to compute."""

    @property
    def problem(self) -> str:
        """Why nobody is there to compute; empty while somebody is."""

    async def load(self) -> None:
        """Get ready. Raises ArtifactError with what is wrong with the model."""

    async def stop(self) -> None:
        """Let go of all that computes; what still waits is failed."""

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        """Check the request against the configuration and queue it. Raises a HoneError when it isn't taken."""
