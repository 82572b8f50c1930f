"""A multilayer perceptron for rows of numbers; small images are rows too.

Sources: D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating errors", 1986; batch
normalisation, S. Ioffe, C. Szegedy, 2015, arXiv 1502.03167; layer normalisation, J. Ba et al., 2016, arXiv 1607.06450;
dropout, N. Srivastava et al., JMLR 2014.
"""

from dataclasses import dataclass

import torch
from torch import nn

from training.networks.checks import check_choice, check_counts, check_dropout, check_scale
from training.networks.layers import ACTIVATIONS, NORMS, Activation, Norm, Scale, initialise


@dataclass(frozen=True, kw_only=True)
class MLPConfig:
    """All there is to know to build the network, weights apart.

    `widths` are those of the hidden layers; without any the network is a linear model. `outputs` are logits of classes,
    or values. `mean` and `deviation` are those of each feature in the training part, or one for all, or none. Values
    are answered in the units of the targets, whose `target_mean` and `target_deviation` those are.
    """

    widths: tuple[int, ...] = (64, 64)
    activation: Activation = "relu"
    norm: Norm = "none"
    dropout: float = 0.0
    features: int = 1
    outputs: int = 1
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    target_mean: tuple[float, ...] = ()
    target_deviation: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_counts(features=self.features, outputs=self.outputs, widths=min(self.widths, default=1))
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("norm", self.norm, NORMS)
        check_dropout(self.dropout)
        check_scale(self.mean, self.deviation, self.features)
        check_scale(self.target_mean, self.target_deviation, self.outputs, "target_mean, target_deviation")


class MLP(nn.Module):
    """Rows to logits or values. `config` is what it was built from."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config = config
        self.scale = Scale(config.mean, config.deviation)
        self.hidden = nn.Sequential()
        width = config.features
        for wider in config.widths:
            # Batch normalisation takes away whatever a bias has added.
            self.hidden.append(nn.Linear(width, wider, bias=config.norm != "batch"))
            self.hidden.append(NORMS[config.norm](wider))
            self.hidden.append(ACTIVATIONS[config.activation]())
            self.hidden.append(nn.Dropout(config.dropout))
            width = wider
        self.head = nn.Linear(width, config.outputs)
        self.target = Scale(config.target_mean, config.target_deviation)
        initialise(self, config.activation)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """`rows` [N, F], or whatever holds F numbers a row, of any dtype, to float32 [N, outputs]."""
        return self.target.back(self.head(self.hidden(self.scale(rows.flatten(1)))))
