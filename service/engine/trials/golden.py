"""Does the model answer as it did when it was published?"""

from service.artifact.golden import Golden
from service.backends.plan import Plan
from service.engine.trials.bench import Bench
from service.engine.trials.difference import difference
from service.errors import ArtifactError
from service.workers.trial import TrialFailed

TOLERANCE = 0.05
"""Largest difference of floats: other CPUs and precisions differ by less, another model by more."""
DISCRETE = 0.25
"""The same where answers aren't floats: a class between two may go either way."""


async def check(bench: Bench, plan: Plan, golden: Golden) -> None:
    """Raises ArtifactError, naming the output, when the model doesn't answer as its golden samples say."""
    rows = plan.max_batch_size or None  # of a model without a batch axis the samples are one input
    inputs, outputs = plan.inputs, plan.outputs
    missing = [spec.name for spec in inputs if spec.name not in golden.inputs]
    if missing:
        raise ArtifactError(f'golden.npz has no input "{missing[0]}"')
    try:
        answers = (await bench.run([golden.inputs[spec.name][:rows] for spec in inputs])).outputs
    except TrialFailed as error:
        raise ArtifactError(f"the model refuses its golden samples: {error}") from error
    for spec, answer in zip(outputs, answers, strict=True):
        expected = golden.outputs.get(spec.name)
        if expected is None:
            continue
        expected = expected[:rows]
        if answer.shape != expected.shape:
            raise ArtifactError(
                f'output "{spec.name}" has shape {list(answer.shape)} for the golden samples, published was'
                f" {list(expected.shape)}"
            )
        if difference(expected, answer) > (TOLERANCE if expected.dtype.kind == "f" else DISCRETE):
            raise ArtifactError(
                f'output "{spec.name}" isn\'t what golden.npz says that the model answered when published'
            )
