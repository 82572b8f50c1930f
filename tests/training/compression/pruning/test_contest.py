"""Cuts of one network compared: every importance and ranking is tried, and that which loses least is taken."""

from typing import Any

import torch
from torch import nn

from tests.training.architectures import texts
from tests.training.compression.pruning.prunable import ledger_of
from training.compression.pruning.allocation import Ranking
from training.compression.pruning.contest import MEASURES, Cut, cut
from training.compression.pruning.cost import Cost, counts_of
from training.data.batches import Batch
from training.networks.catalogue import build
from training.networks.encoder import EncoderConfig
from training.tasks.classification import Classification

CONFIG = EncoderConfig(layers=4, width=32, heads=2, dropout=0.0, vocabulary=40, length=12, classes=3)
BATCH = Batch(inputs=texts(), targets=torch.arange(len(texts())) % 3)


def made(share: float, *rankings: Ranking, losses: list[float] | None = None) -> tuple[Cut, list[Any]]:
    """What wins where cuts lose as many as `losses`, one after the other, and all networks that were judged."""
    network = build(CONFIG, 1)
    ledger = ledger_of(network, lambda one: one(texts()[:1]))
    whole = ledger.cost(counts_of(ledger.units))
    limit = Cost(multiply_adds=round(share * whole.multiply_adds), parameters=whole.parameters)
    judged: list[nn.Module] = []

    def loss(one: nn.Module) -> float:
        judged.append(one)
        return losses[len(judged) - 1] if losses else 0.0

    task = Classification()
    rest = {"task": task, "batches": lambda: [BATCH], "loss": loss}
    return cut(network, ledger=ledger, limit=limit, multiple=16, rankings=rankings, **rest), judged  # type: ignore[arg-type] # any that are left


def test_every_importance_is_tried_with_every_ranking() -> None:
    """The one with the least loss wins; of equals the first."""
    found, judged = made(0.5, "global", "layer", losses=[5, 4, 3, 2, 1, 2])
    assert ("layer", MEASURES[1], 1) == (found.ranking, found.importance, found.loss)
    assert len(judged) == 2 * len(MEASURES)
    assert found.network is judged[4]
    first, _ = made(0.5, "global", "layer")
    assert ("global", MEASURES[0]) == (first.ranking, first.importance)
