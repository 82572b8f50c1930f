"""All that a door sees of the engine."""

from typing import Protocol

from service.artifact.transforms import Medium
from service.engine.exchange import Exchange, Receiver
from service.errors import HoneError
from service.messages import InferRequest, Tensor
from service.metadata import IndexEntry, ModelMetadata, ModelStatistics
from service.repository.override import Override
from service.tracing import TraceControl


class Engine(Protocol):
    """Takes requests, and says what is served. Every call is made on the event loop, and returns at once or is
    awaited.
    """

    @property
    def server_name(self) -> str:
        """What the server calls itself."""

    @property
    def server_version(self) -> str:
        """Its release."""

    @property
    def extensions(self) -> tuple[str, ...]:
        """The names of the protocol extensions that it serves."""

    @property
    def traces(self) -> TraceControl:
        """Which requests are traced."""

    def live(self) -> bool:
        """Whether the process answers at all."""

    def ready(self) -> bool:
        """Whether it takes requests and all models can compute."""

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        """Admit a request: `receiver` hears of it later, never within this call. Raises a HoneError if refused."""

    def precheck(self, model: str, version: str | None, timeout: float | None) -> None:
        """Raises a HoneError if a request is refused whatever its body holds, as long as that grants no less time than
        its headers do: `timeout`, in seconds.
        """

    async def prepare(
        self, model: str, version: str | None, medium: Medium, content: bytes, seconds: float
    ) -> tuple[Tensor, ...]:
        """The inputs that a model's card makes of a picture's file or a text, within so many seconds. Raises a
        HoneError.
        """

    def refuse(self, model: str, version: str | None, protocol: str, error: HoneError) -> None:
        """Count a request that the door refused before it could be submitted."""

    def turn_away(self, request: InferRequest, error: HoneError) -> None:
        """Refuse a request that the door understood: it is counted, and nobody goes on as if it hadn't been sent."""

    def model_ready(self, model: str, version: str | None) -> bool:
        """Whether that model computes. Raises ModelNotFound."""

    def metadata(self, model: str, version: str | None) -> ModelMetadata:
        """Names, datatypes and shapes, the batch axis included. Raises ModelNotFound or NotReady."""

    def config(self, model: str, version: str | None) -> dict[str, object]:
        """The configuration as Triton's JSON. Raises ModelNotFound or NotReady."""

    def statistics(self, model: str | None, version: str | None) -> list[ModelStatistics]:
        """Of one version, of all versions of a model, or of all models. Raises ModelNotFound or NotReady."""

    async def index(self) -> list[IndexEntry]:
        """Every model and version with its state; those that could be loaded explicitly by their name alone."""

    def check_explicit(self) -> None:
        """Raises InvalidRequest unless models are loaded and unloaded by request."""

    async def load_model(self, model: str, override: Override | None = None) -> None:
        """Serve a model as it is in the repository now, or as `override` has it. Raises a HoneError that says why that
        isn't possible.
        """

    async def unload_model(self, model: str, *, dependents: bool = False) -> None:
        """Serve a model no longer; returns when what it had admitted is answered. Raises InvalidRequest.

        With `dependents` so go the models that it is made of, unless they were asked for or are needed elsewhere.
        """
