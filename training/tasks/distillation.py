"""Distillation: a network learns from the answers of a trained one, and from the labels.

Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv 1503.02531.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from training.data.batches import Batch
from training.tasks.classification import Classification, label_metrics
from training.tasks.task import Better, Judgement


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """Divergence from `teacher`'s softened answers, weighted `soft`, and cross entropy with the labels for the rest.

    Both sides' logits are divided by `temperature` before the divergence is taken, so that the teacher's small
    probabilities count; the factor of its square keeps the gradient as large at any temperature.
    """

    teacher: nn.Module
    temperature: float
    soft: float
    better: ClassVar[Better] = Classification.better

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss, and the same metrics as classification: `loss` (cross entropy, in nats) and `accuracy`.

        Where no gradient is wanted the teacher isn't asked, and the loss is that of the labels.
        """
        logits = network(batch.inputs)
        labelled = functional.cross_entropy(logits, batch.targets)
        metrics = label_metrics(logits.detach(), batch.targets)
        if not torch.is_grad_enabled():
            return Judgement(loss=labelled, metrics=metrics)
        with torch.no_grad():
            answers = self.teacher.to(batch.inputs.device)(batch.inputs)
        wanted = functional.log_softmax(answers / self.temperature, dim=1)
        found = functional.log_softmax(logits / self.temperature, dim=1)
        divergence = functional.kl_div(found, wanted, reduction="batchmean", log_target=True)
        loss = self.soft * self.temperature**2 * divergence + (1 - self.soft) * labelled
        return Judgement(loss=loss, metrics=metrics)
