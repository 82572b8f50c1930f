"""Numbers are wanted of every input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from torch import nn

from service.errors import SettingsError
from training.baselines.baseline import Baseline
from training.baselines.linear_regression import LinearRegression
from training.baselines.mean_value import MeanValue
from training.bootstrap import Statistic
from training.data.material import Material
from training.data.moments import moments
from training.data.split import Array, Split
from training.export import BATCH, Signature
from training.metrics import regression
from training.problems.inputs import SAMPLES, axes_of, check_targets, decided_by_inputs, name_of
from training.problems.problem import Example, Form, Independent, Scores, Slices
from training.problems.sizing import Answer
from training.session import Tensors
from training.tasks.regression import Regression as Task
from training.tasks.task import Better

VALUES = "values"
MOST_EXAMPLES = 12


@dataclass(frozen=True, kw_only=True)
class Regression(Independent):
    """Served are values [N, K], in the units of the targets."""

    learns: ClassVar[type[Any]] = Task
    headline: ClassVar[str] = "rmse"
    better: ClassVar[Better] = {"rmse": "smaller", "mae": "smaller", "mse": "smaller", "r2": "larger"}
    every_class: ClassVar[bool] = True

    def decided(self, material: Material) -> Mapping[str, Any]:
        """Shape and moments of inputs and targets. Raises SettingsError without values, or if one can't be judged."""
        check_targets(material, "values")
        for name, column in zip(self.outputs(material), material.dataset.test.targets.T, strict=True):
            if not np.ptp(column):
                text = f"is {column[0]:g} throughout the test part, so that nothing can be said of how it is foretold"
                raise SettingsError(f"problem: {name} {text}; leave it out, or enlarge that part")
        targets = material.dataset.train.targets
        found = moments(targets)
        return {
            **decided_by_inputs(material),
            "outputs": targets.shape[1],
            "target_mean": found.mean,
            "target_deviation": found.deviation,
            "each": False,
        }

    def task(self, settings: Task, material: Material) -> Task:
        """The settings, errors being counted in deviations of the training targets."""
        return replace(settings, unit=float(np.mean(moments(material.dataset.train.targets).deviation)))

    def answer(self, network: nn.Module, inputs: Array, material: Material) -> Answer | None:  # noqa: ARG002
        """Values [N, K]."""
        count = material.dataset.train.targets.shape[1]
        return Answer(shape=(len(inputs), count), of=f"{count} values of each input")

    def forms(self, network: nn.Module, material: Material) -> Mapping[str, Form]:
        """Inputs to values."""
        inputs = material.dataset.validation.inputs[:SAMPLES]
        signature = Signature(inputs={name_of(inputs): axes_of(network, inputs)}, outputs={VALUES: BATCH})
        return {"regressor": Form(module=network, signature=signature, samples=[inputs])}

    def requests(self, network: nn.Module, split: Split, seed: int) -> Tensors:  # noqa: ARG002 - nothing is drawn
        """The inputs themselves."""
        return {name_of(split.inputs): split.inputs}

    def measure(self, answers: Tensors, split: Split, material: Material) -> Scores:
        """Means over outputs, and each by itself."""
        outputs = self.outputs(material)
        found = regression.measure(answers[VALUES], split.targets, split.sources, outputs, self.resampling(split))
        averages = {"rmse": found.rmse, "mae": found.mae, "mse": found.mse, "r2": found.r2}
        by = {name: one.each for name, one in averages.items()} if len(outputs) > 1 else {}
        return Scores(figures={name: one.mean for name, one in averages.items()}, by=by)

    def outputs(self, material: Material) -> tuple[str, ...]:
        """The names of the values that are wanted."""
        return tuple(f"value {number}" for number in range(1, material.dataset.train.targets.shape[1] + 1))

    def deciding(self, answers: Tensors, split: Split, material: Material) -> Statistic:  # noqa: ARG002
        """The mean over outputs."""
        errors = regression.errors(answers[VALUES], split.targets)
        return lambda chosen: errors(chosen)[1, 0]

    def slices(self, answers: Tensors, split: Split, material: Material) -> Slices | None:
        """Each output, where there are several."""
        outputs = self.outputs(material)
        errors = regression.errors(answers[VALUES], split.targets)
        if len(outputs) == 1:
            return None
        return Slices(figure="rmse", names=outputs, statistic=lambda chosen: errors(chosen)[1, 1:])

    def baselines(self, material: Material) -> Mapping[str, Tensors]:
        """The mean, and the best that a linear model can do."""
        dataset = material.dataset
        models: dict[str, Baseline] = {
            "mean value": MeanValue(dataset.train),
            "linear regression": LinearRegression(dataset.train),
        }
        return {name: {VALUES: model.predict(dataset.test.inputs)} for name, model in models.items()}

    def examples(self, answers: Tensors, split: Split, material: Material) -> Sequence[Example]:  # noqa: ARG002
        """The largest errors, relative to the deviation of what is wanted."""
        wanted, found = split.targets.astype(np.float64), answers[VALUES].astype(np.float64)
        errors = (np.abs(found - wanted) / np.maximum(wanted.std(axis=0), 1e-12)).mean(axis=1)
        return tuple(
            Example(
                place=int(place), wanted=_told(wanted[place]), answered=_told(found[place]), error=float(errors[place])
            )
            for place in np.argsort(-errors, kind="stable")[:MOST_EXAMPLES]
        )


def _told(values: Any) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
