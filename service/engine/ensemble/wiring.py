"""How tensors get from one step of an ensemble to the next: checked against what each model says of itself.

The rules are those of Triton's ensembles. A model that batches and one that doesn't may be joined where their full
shapes agree, or where they agree without the batch axis; then one row goes over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.artifact.config import ModelConfig
from service.artifact.ensemble_scheduling import EnsembleStep
from service.artifact.pbtxt import nearest
from service.artifact.signature import TensorSpec
from service.errors import ArtifactError
from service.messages import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Wire:
    """Brings one of the ensemble's tensors to who takes it as `spec`; `batched` says whether that one batches."""

    tensor: str
    spec: TensorSpec
    batched: bool

    def carry(self, tensor: Tensor, *, batched: bool) -> Tensor:
        """The tensor as the receiver calls and shapes it; `batched` says whether its first axis is a batch's."""
        array, dims = tensor.array, self.spec.shape
        if batched != self.batched:
            fits = _agree(dims, array.shape)
            if self.batched and fits:
                array = array[None]
            elif not self.batched and not fits and array.shape[:1] == (1,):
                array = array[0]
        return Tensor(name=self.spec.name, datatype=tensor.datatype, array=array)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wiring:
    """The wires into each step, in the order of the steps."""

    steps: Sequence[Sequence[Wire]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _End:
    """Who makes or takes a tensor."""

    who: str
    spec: TensorSpec
    batched: bool

    @property
    def full(self) -> tuple[int, ...]:
        return (-1, *self.spec.shape) if self.batched else self.spec.shape


def wire(config: ModelConfig, models: Sequence[ModelConfig]) -> Wiring:
    """The wiring of an ensemble, of whose steps `models` are the configurations.

    Raises ArtifactError naming the step, the tensor and what both sides say, where one doesn't fit the other.
    """
    assert config.ensemble_scheduling
    place, batched = f"{config.origin}: ensemble_scheduling", config.max_batch_size > 0
    pairs = list(zip(config.ensemble_scheduling.steps, models, strict=True))
    made = {spec.name: _End(who=_of_ensemble("input", spec), spec=spec, batched=batched) for spec in config.inputs}
    for step, model in pairs:
        _check_rows(config, step, model, place)
        made.update(_made(step, model, place))
    taken = [list(_taken(step, model, place)) for step, model in pairs]
    given = [(spec.name, _End(who=_of_ensemble("output", spec), spec=spec, batched=batched)) for spec in config.outputs]
    for tensor, end in [one for ends in (*taken, given) for one in ends]:
        _compare(f'{place}: tensor "{tensor}"', made[tensor], end)
    return Wiring(
        steps=[[_wire(*one) for one in ends] for ends in taken],
    )


def wires_out(config: ModelConfig) -> Mapping[str, Wire]:
    """The wires to an ensemble's own outputs, by their names."""
    batched = config.max_batch_size > 0
    return {spec.name: Wire(tensor=spec.name, spec=spec, batched=batched) for spec in config.outputs}


def _wire(tensor: str, end: _End) -> Wire:
    return Wire(tensor=tensor, spec=end.spec, batched=end.batched)


def _check_rows(config: ModelConfig, step: EnsembleStep, model: ModelConfig, place: str) -> None:
    if 0 < model.max_batch_size < config.max_batch_size:
        raise ArtifactError(
            f"{place}: {step}: the model's max_batch_size is {model.max_batch_size}, the ensemble's"
            f" {config.max_batch_size}"
        )


def _made(step: EnsembleStep, model: ModelConfig, place: str) -> Iterator[tuple[str, _End]]:
    """The tensors that a step makes."""
    specs = {spec.name: spec for spec in model.outputs}
    for name, tensor in step.outputs.items():
        if name not in specs:
            raise ArtifactError(f'{place}: {step}: the model has no output "{name}"{nearest(name, list(specs))}')
        yield tensor, _End(who=f'output "{name}" of {step}', spec=specs[name], batched=model.max_batch_size > 0)


def _taken(step: EnsembleStep, model: ModelConfig, place: str) -> Iterator[tuple[str, _End]]:
    """The tensors that a step takes."""
    specs = {spec.name: spec for spec in model.inputs}
    for name in step.inputs:
        if name not in specs:
            raise ArtifactError(f'{place}: {step}: the model has no input "{name}"{nearest(name, list(specs))}')
    masks = {length.mask for length in model.hone.lengths}  # made of ones where they are left out
    for name, spec in specs.items():
        if name in step.inputs:
            end = _End(who=f'input "{name}" of {step}', spec=spec, batched=model.max_batch_size > 0)
            yield step.inputs[name], end
        elif not spec.optional and name not in masks:
            raise ArtifactError(f'{place}: {step}: input "{name}" of the model is in no input_map')


def _compare(place: str, made: _End, taken: _End) -> None:
    """Raises unless what one makes is what the other takes, as far as is known before there is a request."""
    if made.spec.datatype != taken.spec.datatype:
        raise ArtifactError(f"{place} is {made.spec.datatype} as {made.who}, but {taken.spec.datatype} as {taken.who}")
    if not _agree(made.spec.shape, taken.spec.shape) and not _agree(made.full, taken.full):
        raise ArtifactError(f"{place} has shape {list(made.full)} as {made.who}, but {list(taken.full)} as {taken.who}")


def _agree(one: Sequence[int], other: Sequence[int]) -> bool:
    return len(one) == len(other) and all(a == b or -1 in (a, b) for a, b in zip(one, other, strict=True))


def _of_ensemble(role: str, spec: TensorSpec) -> str:
    return f'{role} "{spec.name}" of the ensemble'
