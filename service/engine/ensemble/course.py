"""What has to be done for the outputs that a request asks for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.artifact.ensemble_scheduling import EnsembleScheduling


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """The positions of the steps that `outputs` need. As in Triton, other steps don't run.

    `asks` are the outputs that the model of each step is asked for; `uses` says how often each tensor is taken, by
    steps and as an output.
    """

    outputs: Sequence[str]
    steps: Sequence[int]
    asks: Mapping[int, Sequence[str]]
    uses: Mapping[str, int]


def course(scheduling: EnsembleScheduling, outputs: Sequence[str]) -> Course:
    """The course that leads to these outputs of the ensemble."""
    steps = sorted(scheduling.needed(outputs))
    uses = Counter(outputs)
    for at in steps:
        uses.update(scheduling.steps[at].inputs.values())
    asks = {at: tuple(name for name, tensor in scheduling.steps[at].outputs.items() if tensor in uses) for at in steps}
    return Course(outputs=outputs, steps=steps, asks=asks, uses=uses)
