"""Every token of a text has a tag, as in the recognition of names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from training.baselines.frequent_tag import FrequentTag
from training.bootstrap import Statistic
from training.data.material import Material
from training.data.split import NO_TAG, Array, Labels, Split
from training.data.tokenized import TOKENIZER
from training.export import OUTPUT, Probabilities, Signature
from training.metrics import tagging
from training.problems.inputs import SAMPLES, axes_of, check_targets, decided_by_inputs, name_of, named
from training.problems.problem import Example, Form, Independent, Scores, Slices, figure_of
from training.problems.sizing import Answer
from training.session import Tensors
from training.statistics import confusion, scores, tally
from training.tasks.tagging import Tagging as Task
from training.tasks.task import Better

TAGS = "tags"
MOST_EXAMPLES = 12
AROUND = 6
"""Tokens on either side of a wrong one that an example shows."""


class Tagged(nn.Module):
    """A network with what its logits come to: the tag of each token, and how likely each tag is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.probable = Probabilities(network, axis=2)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`ids` int64 [N, T] to tags int64 [N, T] and probabilities float32 [N, T, tags]."""
        probabilities = self.probable(ids)
        return probabilities.argmax(dim=2), probabilities


@dataclass(frozen=True, kw_only=True)
class Tagging(Independent):
    """Served are tags int64 [N, T], of texts of any length, and probabilities [N, T, tags]."""

    learns: ClassVar[type[Any]] = Task
    headline: ClassVar[str] = "accuracy"
    better: ClassVar[Better] = {
        "accuracy": "larger",
        "f1": "larger",
        "span precision": "larger",
        "span recall": "larger",
        "span f1": "larger",
    }
    every_class: ClassVar[bool] = True

    def decided(self, material: Material) -> Mapping[str, Any]:
        """Vocabulary and length of the texts, and how many tags there are. Raises SettingsError without tags."""
        check_targets(material, "tags")
        count = len(material.dataset.classes)
        return {**decided_by_inputs(material), "classes": count, "outputs": count, "head": "tokens", "each": True}

    def task(self, settings: Task, material: Material) -> Task:  # noqa: ARG002 - the data decides nothing of it
        """The settings as they are."""
        return settings

    def answer(self, network: nn.Module, inputs: Array, material: Material) -> Answer | None:  # noqa: ARG002
        """Logits [N, T, tags]."""
        count = len(material.dataset.classes)
        return Answer(shape=(*inputs.shape[:2], count), of=f"for each token a logit for each of {count} tags")

    def forms(self, network: nn.Module, material: Material) -> Mapping[str, Form]:
        """Ids to tags and probabilities."""
        inputs = material.dataset.validation.inputs[:SAMPLES]
        axes = axes_of(network, inputs)
        signature = Signature(inputs={name_of(inputs): axes}, outputs={TAGS: axes, OUTPUT: axes})
        return {"tagger": Form(module=Tagged(network), signature=signature, samples=[inputs], labels=(OUTPUT,))}

    def requests(self, network: nn.Module, split: Split, seed: int) -> Tensors:  # noqa: ARG002 - nothing is drawn
        """The inputs themselves."""
        return {name_of(split.inputs): split.inputs}

    def measure(self, answers: Tensors, split: Split, material: Material) -> Scores:
        """All tokens that have a tag alike, the mean over tags (f1) and each by itself; with BIO tags also spans."""
        found = tagging.measure(answers[TAGS], split.targets, split.sources, material.dataset.classes)
        figures = {"accuracy": figure_of(found.accuracy), "f1": found.f1.mean}
        if found.spans is not None:
            spans = {"precision": found.spans.precision, "recall": found.spans.recall, "f1": found.spans.f1}
            figures |= {f"span {name}": one for name, one in spans.items()}
        there = split.targets != NO_TAG
        taken = confusion(split.targets[there], answers[TAGS][there], len(material.dataset.classes))
        return Scores(figures=figures, by={"f1": found.f1.each}, confusion=tuple(tuple(row) for row in taken.tolist()))

    def deciding(self, answers: Tensors, split: Split, material: Material) -> Statistic:  # noqa: ARG002
        """The share of tokens that are right, of those that have a tag."""
        counted = split.targets != NO_TAG
        right, all_of_it = ((answers[TAGS] == split.targets) & counted).sum(axis=1), counted.sum(axis=1)
        return lambda chosen: np.asarray(right[chosen].sum() / all_of_it[chosen].sum())

    def slices(self, answers: Tensors, split: Split, material: Material) -> Slices:
        """Each tag."""
        tags = material.dataset.classes
        tallies = tally(answers[TAGS], split.targets, len(tags))
        return Slices(figure="f1", names=tags, statistic=lambda chosen: scores(*tallies[chosen].sum(axis=0))[2])

    def baselines(self, material: Material) -> Mapping[str, Tensors]:
        """The tag that each token has most often, whatever stands around it."""
        dataset = material.dataset
        model = FrequentTag(dataset.train, tags=len(dataset.classes))
        return {"frequent tag": {TAGS: model.predict(dataset.test.inputs)}}

    def examples(self, answers: Tensors, split: Split, material: Material) -> Sequence[Example]:
        """Of the texts where a wanted tag was least likely, what stands around it, each stretch with its tag."""
        ids, wanted, found, likely = split.inputs, split.targets, answers[TAGS], answers[OUTPUT]
        right = np.take_along_axis(likely, np.where(wanted == NO_TAG, 0, wanted)[..., None], axis=2)[..., 0]
        right = np.where(wanted == NO_TAG, 1.0, right)
        worst = right.argmin(axis=1)
        least = right.min(axis=1)
        words, tags = _words(material), material.dataset.classes
        examples = []
        for place in np.argsort(least, kind="stable")[:MOST_EXAMPLES]:
            seen = slice(max(0, worst[place] - AROUND), worst[place] + AROUND + 1)
            # What has no tag isn't judged, so it is shown without one both times.
            said = np.where(wanted[place] == NO_TAG, NO_TAG, found[place])
            examples.append(
                Example(
                    place=int(place),
                    wanted=_told(ids[place, seen], wanted[place, seen], words, tags),
                    answered=_told(ids[place, seen], said[seen], words, tags),
                    error=float(1 - least[place]),
                )
            )
        return tuple(examples)


def _words(material: Material) -> Callable[[Sequence[int]], str]:
    """What ids stand for: their text, or the numbers themselves where no tokenizer came with them."""
    if TOKENIZER not in material.files:
        return lambda ids: " ".join(map(str, ids))
    tokenizer = Tokenizer.from_str(material.files[TOKENIZER].decode())
    return lambda ids: str(tokenizer.decode(list(ids)))


def _told(ids: Array, tags: Labels, words: Callable[[Sequence[int]], str], names: tuple[str, ...]) -> str:
    """A text whose stretches of one tag have that behind them: `import/keyword os/name`."""
    told = []
    for tag, stretch in groupby(zip(ids.tolist(), tags.tolist(), strict=True), key=lambda one: one[1]):
        text = " ".join(words([token for token, _ in stretch]).split())
        if text:
            told.append(text if tag == NO_TAG else f"{text}/{named(tag, names)}")
    return " ".join(told)
