"""Every input is of exactly one class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from service.errors import SettingsError
from training.baselines.baseline import Baseline
from training.baselines.logistic_regression import LogisticRegression
from training.baselines.majority_class import MajorityClass
from training.bootstrap import Statistic
from training.data.material import Material
from training.data.split import Array, Split
from training.export import BATCH, OUTPUT, Probabilities, Signature
from training.metrics import classification
from training.problems.inputs import SAMPLES, axes_of, check_targets, decided_by_inputs, name_of, named, pictures_of
from training.problems.problem import Example, Form, Independent, Scores, Slices, figure_of
from training.problems.sizing import Answer
from training.session import Tensors
from training.statistics import scores, tally
from training.tasks.classification import Classification as Task
from training.tasks.classification import balanced
from training.tasks.task import Better

MOST_EXAMPLES = 12


@dataclass(frozen=True, kw_only=True)
class Classification(Independent):
    """Served are probabilities [N, classes]. To `balance`, every class counts for as much as any other in training."""

    balance: bool = False
    learns: ClassVar[type[Any]] = Task
    headline: ClassVar[str] = "accuracy"
    better: ClassVar[Better] = {
        "accuracy": "larger",
        "precision": "larger",
        "recall": "larger",
        "f1": "larger",
        "auroc": "larger",
        "calibration error": "smaller",
        "brier": "smaller",
    }
    every_class: ClassVar[bool] = True

    def decided(self, material: Material) -> Mapping[str, Any]:
        """Shape and moments of the inputs, and how many classes there are. Raises SettingsError without labels."""
        check_targets(material, "labels")
        count = len(material.dataset.classes)
        return {**decided_by_inputs(material), "classes": count, "outputs": count, "head": "text", "each": False}

    def task(self, settings: Task, material: Material) -> Task:
        """The settings, with the weights that balance classes, if that is asked."""
        if not self.balance:
            return settings
        if settings.class_weights:
            raise SettingsError("problem.balance, task.class_weights: set one of them")
        labels = material.dataset.train.targets
        return replace(settings, class_weights=balanced(labels, len(material.dataset.classes)))

    def answer(self, network: nn.Module, inputs: Array, material: Material) -> Answer | None:
        """Logits [N, classes]. Raises SettingsError for a network that answers in the unit of its inputs."""
        config: Any = getattr(network, "config", None)
        if getattr(config, "reversible", False) or getattr(config, "residual", False):
            raise SettingsError("network.reversible, network.residual: are for values that go on; classes have no unit")
        count = len(material.dataset.classes)
        return Answer(shape=(len(inputs), count), of=f"a logit for each of {count} classes")

    def forms(self, network: nn.Module, material: Material) -> Mapping[str, Form]:
        """Inputs to probabilities."""
        inputs = material.dataset.validation.inputs[:SAMPLES]
        signature = Signature(inputs={name_of(inputs): axes_of(network, inputs)}, outputs={OUTPUT: BATCH})
        form = Form(module=Probabilities(network), signature=signature, samples=[inputs], labels=(OUTPUT,))
        return {"classifier": form}

    def requests(self, network: nn.Module, split: Split, seed: int) -> Tensors:  # noqa: ARG002 - nothing is drawn
        """The inputs themselves."""
        return {name_of(split.inputs): split.inputs}

    def measure(self, answers: Tensors, split: Split, material: Material) -> Scores:
        """Means over classes (macro), and each class by itself."""
        found = classification.measure(answers[OUTPUT], split.targets, split.sources, material.dataset.classes)
        averages = {"precision": found.precision, "recall": found.recall, "f1": found.f1, "auroc": found.auroc}
        return Scores(
            figures={
                "accuracy": figure_of(found.accuracy),
                **{name: one.mean for name, one in averages.items()},
                "calibration error": found.calibration_error,
                "brier": found.brier,
            },
            by={name: one.each for name, one in averages.items()},
            confusion=found.confusion,
            roc=found.roc,
            calibration=found.calibration,
        )

    def deciding(self, answers: Tensors, split: Split, material: Material) -> Statistic:  # noqa: ARG002
        """The share that is right."""
        right = self.right(answers, split)
        return lambda chosen: np.asarray(right[chosen].mean())

    def right(self, answers: Tensors, split: Split) -> NDArray[np.bool_]:
        """Whose likeliest class is the true one."""
        right: NDArray[np.bool_] = answers[OUTPUT].argmax(axis=1) == split.targets
        return right

    def slices(self, answers: Tensors, split: Split, material: Material) -> Slices:
        """What is right of each class."""
        classes = material.dataset.classes
        said = answers[OUTPUT].argmax(axis=1).astype(np.int64)
        tallies = tally(said[:, None], split.targets[:, None], len(classes))
        return Slices(figure="recall", names=classes, statistic=lambda chosen: scores(*tallies[chosen].sum(axis=0))[1])

    def baselines(self, material: Material) -> Mapping[str, Tensors]:
        """The commonest class, and the best that a linear model can do."""
        dataset = material.dataset
        models: dict[str, Baseline] = {
            "majority class": MajorityClass(dataset.train, classes=len(dataset.classes)),
            "logistic regression": LogisticRegression(dataset.train, classes=len(dataset.classes)),
        }
        return {name: {OUTPUT: model.predict(dataset.test.inputs)} for name, model in models.items()}

    def examples(self, answers: Tensors, split: Split, material: Material) -> Sequence[Example]:
        """Wrong answers, the most confident first."""
        probabilities = answers[OUTPUT]
        said = probabilities.argmax(axis=1)
        sure = probabilities.max(axis=1)
        wrong = np.flatnonzero(said != split.targets)
        chosen = wrong[np.argsort(-sure[wrong], kind="stable")][:MOST_EXAMPLES]
        names = material.dataset.classes
        return tuple(
            Example(
                place=int(place),
                wanted=named(int(split.targets[place]), names),
                answered=f"{named(int(said[place]), names)} ({sure[place]:.0%})",
                error=float(sure[place]),
                pictures=pictures_of(split.inputs[place]),
            )
            for place in chosen
        )
