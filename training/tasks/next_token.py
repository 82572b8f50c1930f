"""Foretelling: after every token of a window, which comes next."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from torch.nn import functional

from training.data.batches import Batch
from training.tasks.classification import Classification, label_metrics
from training.tasks.task import Better, Judgement


@dataclass(frozen=True, kw_only=True)
class NextToken:
    """Cross entropy, with `label_smoothing` of the mass spread over the vocabulary while training."""

    label_smoothing: float = 0.0
    better: ClassVar[Better] = Classification.better

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError("label_smoothing: must be at least 0 and below 1")

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss, and metrics `loss` (unsmoothed, in nats a token) and `accuracy` (share of tokens foretold).

        `batch.inputs` are ids int64 [N, T], `batch.targets` what follows each, int64 [N, T].
        """
        logits = network(batch.inputs).flatten(0, 1)  # [N * T, V]
        labels = batch.targets.flatten()
        loss = functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        return Judgement(loss=loss, metrics=label_metrics(logits.detach(), labels))
