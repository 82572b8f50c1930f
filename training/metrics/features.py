"""What a frozen classifier of our own sees in images: the yardstick of generators."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from service.artifact.digest import sha256_bytes
from training.data.split import Images
from training.statistics import Values

AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a `network` sees in images: `features` float64 [N, D], `probabilities` of classes float64 [N, C]."""

    network: str
    features: Values
    probabilities: Values


class FeatureNetwork:
    """A copy of a trained classifier whose weights stay; features are what goes into its linear layer `head`.

    `name` says of what it was trained and with which weights: figures by other features can't be compared.
    """

    def __init__(self, classifier: nn.Module, trained_on: str) -> None:
        head, config = getattr(classifier, "head", None), getattr(classifier, "config", None)
        if not isinstance(head, nn.Linear) or head.out_features != getattr(config, "classes", None):
            raise TypeError("classifier: must have a linear layer `head` of its classes, whose input is what it sees")
        self._classifier = copy.deepcopy(classifier).eval().requires_grad_(requires_grad=False)
        weights = b"".join(tensor.cpu().numpy().tobytes() for tensor in self._classifier.state_dict().values())
        self.name = f"Hone's {trained_on} features ({sha256_bytes(weights)[:8]})"

    def __call__(self, images: Images) -> Seen:
        """What is seen in `images` uint8 [N, C, H, W]."""
        features: list[NDArray[np.float32]] = []
        head = self._classifier.get_submodule("head")
        hook = head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].numpy()))
        try:
            with torch.inference_mode():
                logits = [self._classifier(batch) for batch in torch.split(torch.from_numpy(images), AT_ONCE)]
        finally:
            hook.remove()
        return Seen(
            network=self.name,
            features=np.concatenate(features).astype(np.float64),
            probabilities=torch.cat(logits).double().softmax(dim=1).numpy(),
        )
