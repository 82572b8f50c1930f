"""What the catalog sees of a generation."""

from typing import Protocol

from service.artifact.config import ModelConfig
from service.engine.exchange import Exchange, Receiver
from service.engine.scheduling.sequence import SequenceScheduler
from service.engine.transformation import Transformation
from service.messages import InferRequest
from service.metrics import ModelMetrics


class Servable(Protocol):
    """A version of a model under one configuration: it is loaded, answers, drains and stops, each of them once."""

    name: str
    version: str
    metrics: ModelMetrics

    @property
    def config(self) -> ModelConfig:
        """The configuration, completed from the model itself. Raises NotReady before it is loaded."""

    @property
    def ready(self) -> bool:
        """Whether a worker is there to compute."""

    @property
    def problem(self) -> str:
        """Why no worker is there to compute; empty while one is."""

    @property
    def transformation(self) -> Transformation | None:
        """How its inputs are made of a picture or a text; None where nothing is said of it."""

    @property
    def sequences(self) -> SequenceScheduler | None:
        """Who owns the sequences that it computes; None where requests don't build on each other here."""

    async def load(self) -> None:
        """Load, verify and warm it. Raises ArtifactError with what is wrong, and then leaves nothing behind."""

    def precheck(self, timeout: float | None) -> None:
        """Raises a HoneError for a request that would be refused whatever it holds, by its headers."""

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        """Admit a request. Raises a HoneError when it isn't taken."""

    async def linger(self, seconds: float) -> None:
        """Wait until no sequence is in progress and no text is being written, for so long at most."""

    async def drain(self, seconds: float) -> bool:
        """Wait until all that was admitted has ended, for so long at most; whether it has."""

    async def stop(self) -> None:
        """End its workers; what still waits is failed."""
