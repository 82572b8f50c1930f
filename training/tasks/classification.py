"""Classification: every image has exactly one label."""

from dataclasses import dataclass

from torch import nn
from torch.nn import functional

from training.data.batches import Batch
from training.tasks.task import Judgement


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Cross entropy, with `label_smoothing` of the mass spread over all classes while training."""

    label_smoothing: float = 0.0

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss, and metrics `loss` (unsmoothed, in nats) and `accuracy` (share of the batch)."""
        logits = network(batch.images)
        loss = functional.cross_entropy(logits, batch.labels, label_smoothing=self.label_smoothing)
        plain = functional.cross_entropy(logits.detach(), batch.labels)
        hits = (logits.argmax(dim=1) == batch.labels).float().mean()
        return Judgement(loss=loss, metrics={"loss": float(plain), "accuracy": float(hits)})
