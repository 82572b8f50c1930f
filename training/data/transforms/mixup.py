"""Inputs laid over each other in pairs, and what is wanted of them mixed alike.

Source: H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, arXiv 1710.09412.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from service.errors import SettingsError
from training.data.transforms.transform import Pair, typed


@dataclass(frozen=True, kw_only=True)
class Mixup:
    """Each input with another of its batch, by a share drawn for the batch from the beta distribution of `alpha`.

    Labels become shares of `classes`, float32 [N, classes], whose number the data decides.
    """

    alpha: float = 0.2
    classes: int = 0

    def __post_init__(self) -> None:
        if self.alpha <= 0:
            raise ValueError("alpha: must be positive")

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor, random: torch.Generator) -> Pair:
        """Pixels or numbers [N, ...] with labels int64 [N], shares or values float32 [N, K].

        Raises SettingsError for tokens, and for targets that can't be mixed.
        """
        if inputs.dtype == torch.int64 or targets.dim() > 2:
            raise SettingsError("mixup: tokens, tags, masks and boxes can't be mixed; use it for labels and values")
        # Torch draws from this distribution by its global state alone.
        seed = int(torch.randint(2**63 - 1, (), generator=random))
        share = float(np.random.default_rng(seed).beta(self.alpha, self.alpha))
        others = torch.randperm(len(inputs), generator=random)
        if not targets.is_floating_point():
            targets = functional.one_hot(targets, self.classes).float()
        numbers = inputs.float()
        mixed = share * numbers + (1 - share) * numbers[others]
        return typed(mixed, inputs), share * targets + (1 - share) * targets[others]
