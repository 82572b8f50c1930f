"""Tagging: every token of a text has a label, as in the recognition of names."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from training.data.batches import Batch
from training.data.split import NO_TAG
from training.tasks.task import Better, Judgement


@dataclass(frozen=True, kw_only=True)
class Tagging:
    """Cross entropy of the tokens that have a tag, each of which counts alike, however long its text is."""

    better: ClassVar[Better] = {"loss": "smaller", "accuracy": "larger"}

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss, and metrics `loss` (in nats a tag) and `accuracy` (share of the tags).

        Answers are logits [N, T, tags], targets int64 [N, T] with -100 where there is none.
        """
        logits, tags = network(batch.inputs).flatten(0, 1), batch.targets.flatten()
        count = int((tags != NO_TAG).sum())
        loss = functional.cross_entropy(logits, tags, ignore_index=NO_TAG, reduction="sum") / max(1, count)
        hits = torch.sum(logits.argmax(dim=1) == tags) / max(1, count)
        return Judgement(loss=loss, metrics={"loss": float(loss.detach()), "accuracy": float(hits)}, count=count)
