"""Which models an ensemble is made of at the moment."""

from collections.abc import Sequence
from typing import Protocol

from service.artifact.config import ModelConfig
from service.artifact.ensemble_scheduling import EnsembleStep
from service.engine.ensemble.dependencies import circle, in_words, parts_of
from service.engine.ensemble.wiring import Wire, Wiring, wire
from service.engine.servable import Servable
from service.errors import ArtifactError, ModelNotFound, NotReady
from service.messages import InferRequest


class Models(Protocol):
    """All that an ensemble sees of the catalog."""

    def find(self, name: str, version: str | None) -> Servable:
        """The served model. Raises ModelNotFound or NotReady."""

    def route(self, request: InferRequest) -> Servable:
        """Who computes a request: the generation that has its sequence, else the served model. Raises as `find`."""


class Composition:
    """Owns what was last found to fit together: the configuration of each step's model, and the wiring between them.

    Models are looked for anew whenever they are needed, so that one that takes another's place is used at once; and
    checked anew where a configuration has changed, so that it isn't used where it doesn't fit.
    """

    def __init__(self, config: ModelConfig, models: Models) -> None:
        assert config.ensemble_scheduling
        self._config = config
        self._steps = config.ensemble_scheduling.steps
        self._models = models
        self._configs: list[ModelConfig] = []
        self._wiring: Wiring | None = None

    def check(self) -> Wiring:
        """The wiring between the models that are served now.

        Raises NotReady naming a model that isn't served, ArtifactError saying what doesn't fit together.
        """
        configs = [_config(step, self._model(step)) for step in self._steps]
        if self._wiring is None or configs != self._configs:
            self._wiring = None
            self._check_circle()
            self._wiring = wire(self._config, configs)
        self._configs = configs
        return self._wiring

    def admit(self) -> None:
        """Raises NotReady with what keeps requests from being answered; whether models can compute isn't looked at."""
        try:
            self.check()
        except ArtifactError as error:
            raise NotReady(str(error)) from error

    def models(self) -> Sequence[tuple[EnsembleStep, Servable]]:
        """Each step and its model. Raises NotReady."""
        return [(step, self._model(step)) for step in self._steps]

    def wires(self, at: int) -> Sequence[Wire]:
        """The wires into one step. Raises NotReady."""
        step = self._steps[at]
        if self._wiring is None or _config(step, self._model(step)) is not self._configs[at]:
            self.admit()
        assert self._wiring
        return self._wiring.steps[at]

    def route(self, at: int, request: InferRequest) -> Servable:
        """Who computes what just came through the `wires` of a step: the generation that has the sequence, where those
        wires fit it too, else the served model.
        """
        found = self._models.route(request)
        return found if _alike(found.config, self._configs[at]) else self._model(self._steps[at])

    def _model(self, step: EnsembleStep) -> Servable:
        try:
            return self._models.find(step.model, step.version)
        except (ModelNotFound, NotReady) as error:
            raise NotReady(f"{step}: {error}") from None

    def _check_circle(self) -> None:
        """Raises ArtifactError if one of the models is made of the ensemble, however far down."""
        if path := circle(self._config.name, self._parts):
            raise ArtifactError(in_words(path))

    def _parts(self, name: str) -> Sequence[str]:
        if name == self._config.name:
            return parts_of(self._config)
        try:
            return parts_of(self._models.find(name, None).config)
        except (ModelNotFound, NotReady):
            return ()


def _alike(one: ModelConfig, other: ModelConfig) -> bool:
    """Whether the same wires fit both."""
    if one is other:
        return True
    batched = [config.max_batch_size > 0 for config in (one, other)]
    return batched[0] == batched[1] and (one.inputs, one.outputs) == (other.inputs, other.outputs)


def _config(step: EnsembleStep, model: Servable) -> ModelConfig:
    try:
        return model.config
    except NotReady as error:
        raise NotReady(f"{step}: {error}") from None
