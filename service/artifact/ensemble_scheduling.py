"""How an ensemble is put together from other models: Triton's `ensemble_scheduling`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.artifact.names import check_model_name
from service.errors import ArtifactError

ENSEMBLE = "ensemble"
"""The platform of an ensemble, and what stands for a backend where other models compute."""
_LATEST = (-1, 0)
"""Model versions that mean the newest: Triton's, and that of a step which names none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsembleStep:
    """One model's turn. `version` is None for the newest that is served.

    `inputs` are tensors of the ensemble by the model's inputs that they become, `outputs` by the model's outputs that
    they come from.
    """

    number: int
    model: str
    version: str | None
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    def __str__(self) -> str:
        return f'step {self.number} (model "{self.model}")'


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsembleScheduling:
    """The steps, numbered from 1 as they are written: each tensor comes from one place, and no step waits for itself.

    `certain` are the numbers of those that begin at once, whatever outputs a request asks for. At most
    `max_inflight_requests` are in one step at a time; without limit where it is 0.
    """

    steps: tuple[EnsembleStep, ...]
    certain: frozenset[int] = frozenset()
    max_inflight_requests: int = 0

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models that it is made of, each once."""
        return tuple(dict.fromkeys(step.model for step in self.steps))

    def needed(self, tensors: Iterable[str]) -> frozenset[int]:
        """The positions of the steps that these tensors are made by."""
        return _needed(self.steps, tensors)


def is_ensemble(written: Any, *, source: str) -> bool:
    """Whether the message `ModelConfig` is an ensemble's. Raises ArtifactError where it is only half of one."""
    has_steps: bool = written.HasField("ensemble_scheduling")
    if has_steps and not (written.backend in ("", ENSEMBLE) and written.platform in ("", ENSEMBLE)):
        raise ArtifactError(f'{source}: ensemble_scheduling needs the platform "{ENSEMBLE}", and no backend')
    if not has_steps and ENSEMBLE in (written.backend, written.platform):
        raise ArtifactError(f'{source}: platform "{ENSEMBLE}" needs ensemble_scheduling, which says its steps')
    return has_steps


def read_ensemble_scheduling(written: Any, *, name: str, source: str) -> EnsembleScheduling | None:
    """What the message `ModelConfig` of model `name` says of its steps, None where it isn't an ensemble's.

    Writes Triton's defaults into it. Raises ArtifactError naming step and tensor.
    """
    if not written.HasField("ensemble_scheduling"):
        return None
    if "hone.remote" in written.parameters:
        raise ArtifactError(f"{source}: hone.remote: another server computes, so leave ensemble_scheduling out")
    if written.instance_group:
        raise ArtifactError(
            f"{source}: instance_group: an ensemble computes nothing itself, the models of its steps do"
        )
    written.platform, written.backend, written.default_model_filename = ENSEMBLE, "", ""
    place = f"{source}: ensemble_scheduling"
    said = written.ensemble_scheduling
    steps = tuple(_step(number, step, name, place) for number, step in enumerate(said.step, 1))
    if not steps:
        raise ArtifactError(f"{place} has no step")
    for role, tensors in (("input", written.input), ("output", written.output)):
        if not tensors:
            raise ArtifactError(f"{source}: an ensemble says its inputs and outputs itself, and this one has no {role}")
    inputs, outputs = [tensor.name for tensor in written.input], [tensor.name for tensor in written.output]
    _check_sources(steps, inputs, place)
    _check_ends(steps, inputs, outputs, place)
    _check_order(steps, inputs, place)
    always = frozenset.intersection(*(_needed(steps, [name]) for name in outputs))
    certain = [steps[at].number for at in always if set(inputs).issuperset(steps[at].inputs.values())]
    return EnsembleScheduling(steps=steps, certain=frozenset(certain), max_inflight_requests=said.max_inflight_requests)


def _needed(steps: Sequence[EnsembleStep], tensors: Iterable[str]) -> frozenset[int]:
    sources = {tensor: at for at, step in enumerate(steps) for tensor in step.outputs.values()}
    found: set[int] = set()
    waiting = list(tensors)
    while waiting:
        at = sources.get(waiting.pop())
        if at is not None and at not in found:
            found.add(at)
            waiting += steps[at].inputs.values()
    return frozenset(found)


def _step(number: int, written: Any, name: str, place: str) -> EnsembleStep:
    """One step. Raises ArtifactError for what can be seen of it alone."""
    if not written.model_name:
        raise ArtifactError(f"{place}: step {number} has no model_name")
    version = written.model_version
    step = EnsembleStep(
        number=number,
        model=check_model_name(written.model_name),
        version=None if version in _LATEST else str(version),
        inputs=dict(sorted(written.input_map.items())),
        outputs=dict(sorted(written.output_map.items())),
    )
    if step.model == name:
        raise ArtifactError(f"{place}: {step}: an ensemble can't be made of itself")
    if version < -1:
        raise ArtifactError(f"{place}: {step}: model_version is {version}, expected a version, or -1 for the newest")
    for role, said in (("input_map", step.inputs), ("output_map", step.outputs)):
        if not said:
            raise ArtifactError(f"{place}: {step} has no {role}")
        if empty := [key for key, tensor in said.items() if not (key and tensor)]:
            raise ArtifactError(f'{place}: {step}: {role} "{empty[0]}" has an empty key or value')
    return step


def _check_sources(steps: Sequence[EnsembleStep], inputs: Sequence[str], place: str) -> None:
    """Raises unless every tensor comes from one place, and every tensor that is used comes from some."""
    sources = dict.fromkeys(inputs, "an input of the ensemble")
    for step in steps:
        for output, tensor in step.outputs.items():
            if tensor in sources:
                raise ArtifactError(
                    f'{place}: {step}: output "{output}" is tensor "{tensor}", which is {sources[tensor]} already'
                )
            sources[tensor] = f'output "{output}" of {step}'
    for step in steps:
        for name, tensor in step.inputs.items():
            if tensor not in sources:
                raise ArtifactError(
                    f'{place}: {step}: input "{name}" is tensor "{tensor}", which is no input of the ensemble and no'
                    " output of a step"
                )


def _check_ends(steps: Sequence[EnsembleStep], inputs: Sequence[str], outputs: Sequence[str], place: str) -> None:
    """Raises unless every input of the ensemble is used, and every output made by a step."""
    used = {tensor for step in steps for tensor in step.inputs.values()}
    made = {tensor for step in steps for tensor in step.outputs.values()}
    for name in inputs:
        if name not in used:
            raise ArtifactError(f'{place}: input "{name}" of the ensemble is in no input_map')
    for name in outputs:
        if name not in made:
            raise ArtifactError(f'{place}: output "{name}" of the ensemble is in no output_map')


def _check_order(steps: Sequence[EnsembleStep], inputs: Sequence[str], place: str) -> None:
    """Raises where steps wait for each other."""
    there, left = set(inputs), list(steps)
    while ready := [step for step in left if there.issuperset(step.inputs.values())]:
        there.update(tensor for step in ready for tensor in step.outputs.values())
        left = [step for step in left if step not in ready]
    if left:
        waiting = left[0]
        tensor = next(tensor for tensor in waiting.inputs.values() if tensor not in there)
        raise ArtifactError(f'{place}: {waiting} needs tensor "{tensor}", which is made in a circle')
