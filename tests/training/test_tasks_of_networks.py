"""Each network with the tasks that are asked of it: what the one answers is what the other judges."""

from typing import Any

import pytest
import torch

from tests.training.architectures import ARCHITECTURES, ROWS, floats, labels
from training.data.batches import Batch
from training.networks.catalogue import build
from training.tasks.adversarial import Adversarial
from training.tasks.classification import Classification
from training.tasks.contrastive import Contrastive
from training.tasks.detection import Detection
from training.tasks.reconstruction import Reconstruction
from training.tasks.regression import Regression
from training.tasks.segmentation import Segmentation
from training.tasks.tagging import Tagging
from training.tasks.task import Game, Task
from training.tasks.variational import Variational

BOXES = torch.tensor([[[1.0, 4, 4, 20, 16], [-1, 0, 0, 0, 0]]]).expand(ROWS, -1, -1)


@pytest.mark.parametrize(
    "name,task,targets",
    [
        ("mlp", Classification(), labels()),
        ("depthwise", Classification(), labels()),
        ("lstm that reads", Classification(), labels()),
        ("encoder", Classification(), labels()),
        ("gru", Regression(), floats(4)),
        ("lstm that tags", Tagging(), labels(12)),
        ("encoder that tags", Tagging(), labels(12)),
        ("resnet that embeds", Contrastive(), labels()),
        ("encoder that embeds", Contrastive(), labels()),
        ("autoencoder", Reconstruction(), labels()),
        ("variational", Variational(), labels()),
        ("gan", Adversarial(), labels()),
        ("detector", Detection(), BOXES),
        ("unet", Segmentation(), labels(16, 16)),
    ],
)
def test_a_network_is_judged_by_its_task(name: str, task: Task, targets: torch.Tensor) -> None:
    """The loss is a number, its metrics are those that the task names, and it reaches every weight of who learns."""
    network: Any = build(ARCHITECTURES[name].config, seed=1).train()
    batch = Batch(inputs=ARCHITECTURES[name].inputs, targets=targets)
    turns = task.turns if isinstance(task, Game) else [""]
    for turn in turns:
        judgement = task.judge(turn, network, batch) if isinstance(task, Game) else task(network, batch)
        network.zero_grad()
        judgement.loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        learner = network.get_submodule(turn)
        assert torch.isfinite(judgement.loss)
        assert all(weights.grad is not None and weights.grad.any() for weights in learner.parameters())
    with torch.inference_mode():
        assert task.better.keys() == task(network.eval(), batch).metrics.keys()
