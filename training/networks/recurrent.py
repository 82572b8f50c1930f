"""Recurrent networks for series of numbers and for texts: plain ones, LSTM and GRU, read forwards or both ways.

`Recurrent.forward` takes whole windows or texts: training. `Recurrent.step` takes the next few steps and the state of
what was before: serving as values come in, with the same answers.

Sources: J. Elman, "Finding Structure in Time", 1990; S. Hochreiter, J. Schmidhuber, "Long Short-Term Memory", 1997;
K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014, arXiv 1406.1078; both ways, M.
Schuster, K. Paliwal, 1997. Recurrent weights begin orthogonal (A. Saxe et al., 2014, arXiv 1312.6120), and an LSTM
remembers at first (R. Jozefowicz et al., "An Empirical Exploration of Recurrent Network Architectures", 2015). Windows
by their own moments, T. Kim et al., "Reversible Instance Normalization for Accurate Time-Series Forecasting against
Distribution Shift", ICLR 2022, without its learnt scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from training.networks.checks import check_choice, check_counts, check_dropout, check_scale
from training.networks.layers import Scale, initialise

Cell = Literal["rnn", "lstm", "gru"]

CELLS: Mapping[Cell, type[nn.RNN | nn.LSTM | nn.GRU]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}

FLOOR = 1e-5
"""Added to the variance of a window, which may be 0."""


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """All there is to know to build the network, weights apart.

    It answers at the last step, or at `each`. `outputs` are logits of classes, or values. With a `vocabulary` it reads
    token ids, 0 being padding at the end of a text, and otherwise steps of `features` numbers, whose `mean` and
    `deviation` are those of the training part, of each or one for all. Values are answered in the units of the targets,
    whose `target_mean` and `target_deviation` those are.

    What rises for good leaves the range that it was learnt in. A `reversible` network sees each window as deviations
    from its own mean, and answers in those, for values that go on with the window's first feature. A `residual` one
    answers what is to be added to the last value of that feature: from little data, a change is learnt before a level.
    """

    cell: Cell = "lstm"
    layers: int = 1
    width: int = 64
    bidirectional: bool = False
    each: bool = False
    reversible: bool = False
    residual: bool = False
    dropout: float = 0.0
    features: int = 1
    vocabulary: int = 0
    outputs: int = 1
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    target_mean: tuple[float, ...] = ()
    target_deviation: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_choice("cell", self.cell, CELLS)
        check_counts(layers=self.layers, width=self.width, features=self.features, outputs=self.outputs)
        check_dropout(self.dropout)
        if self.vocabulary < 0 or self.vocabulary == 1:
            raise ValueError("vocabulary: is 0 for numbers, or at least 2, since token 0 is padding")
        if self.vocabulary and self.mean:
            raise ValueError("mean, deviation: token ids have none, leave them out where there is a vocabulary")
        if self.reversible and (self.vocabulary or self.each):
            raise ValueError("reversible: is for windows of numbers that are answered once, at their end")
        if self.residual and self.vocabulary:
            raise ValueError("residual: is for numbers, to the last of which something can be added")
        check_scale(self.mean, self.deviation, self.features)
        check_scale(self.target_mean, self.target_deviation, self.outputs, "target_mean, target_deviation")

    @property
    def steps(self) -> bool:
        """True when the network can answer step by step: nothing that it needs comes later."""
        return not (self.bidirectional or self.reversible)

    @property
    def state_shape(self) -> tuple[int, int, int]:
        """What is kept of one sequence between steps: (S, L, W), S being 2 for an LSTM, which has two states."""
        return 2 if self.cell == "lstm" else 1, self.layers, self.width


class Recurrent(nn.Module):
    """Windows or texts to logits or values. `config` is what it was built from."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.config = config
        # Where each window has moments of its own, those of the training part say nothing.
        self.read: nn.Module = Scale((), ()) if config.reversible else Scale(config.mean, config.deviation)
        if config.vocabulary:
            self.read = nn.Embedding(config.vocabulary, config.width, padding_idx=0)
        self.cells = CELLS[config.cell](
            config.width if config.vocabulary else config.features,
            config.width,
            num_layers=config.layers,
            batch_first=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
            bidirectional=config.bidirectional,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width * (2 if config.bidirectional else 1), config.outputs)
        # A change has no mean that the level of the training part would tell.
        middle = tuple(0.0 for _ in config.target_mean) if config.residual else config.target_mean
        self.target = Scale((), ()) if config.reversible else Scale(middle, config.target_deviation)
        initialise(self.head, "tanh")
        _initialise_cells(self.cells, lasting=config.cell == "lstm")

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Windows float32 [N, T, F] or ids int64 [N, T] to float32 [N, outputs], or [N, T, outputs] at each step.

        Both directions of a text begin at its own ends: padding changes no answer. Answers at padding mean nothing.
        """
        if self.config.reversible:
            middle, spread = _moments(inputs)
            answer = self._whole((inputs - middle) / spread)
            return answer * spread[:, 0, :1] + middle[:, 0, :1]
        return self._whole(inputs)

    def _whole(self, inputs: torch.Tensor) -> torch.Tensor:
        ways = 2 if self.config.bidirectional else 1
        kinds, layers, width = self.config.state_shape
        state = torch.zeros(inputs.shape[0], kinds, layers * ways, width, device=inputs.device)
        if self.config.vocabulary:
            packed = pack_padded_sequence(self.read(inputs), _lengths(inputs), batch_first=True, enforce_sorted=False)
            found, state = self._run(packed, state)
            found, _ = pad_packed_sequence(found, batch_first=True, total_length=inputs.shape[1])
        else:
            found, state = self._run(self.read(inputs), state)
        if self.config.each:
            return self._answer(found, inputs)
        return self._answer(state[:, 0, -ways:].flatten(1), inputs[:, -1])

    def step(self, inputs: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The next steps float32 [N, T, F] or ids int64 [N, T] of N sequences, of which `state` [N, S, L, W] is known.

        Returns answers at each of these steps [N, T, outputs] and the state after them; a sequence begins with zeros.
        Raises ValueError if the network reads both ways or is reversible, since what comes later isn't known.
        """
        if not self.config.steps:
            which = "reversible: a network of that kind"
            if self.config.bidirectional:
                which = "bidirectional: a network that reads both ways"
            raise ValueError(f"{which} needs the whole sequence, not steps of it")
        found, state = self._run(self.read(inputs), state)
        return self._answer(found, inputs), state

    def _run(self, steps: Any, state: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """The cells' answers to `steps`, a tensor or packed, and the state [N, S, L, W] afterwards."""
        # Cells have the layer first, a server the sequence.
        parts = [part.contiguous() for part in state.permute(1, 2, 0, 3).unbind()]
        # Not every CPU that has bfloat16 has cells for it; GPUs aren't concerned.
        with torch.autocast("cpu", enabled=False):
            found, after = self.cells(steps, tuple(parts) if len(parts) > 1 else parts[0])
        return found, torch.stack(after if len(parts) > 1 else (after,)).permute(2, 0, 1, 3)

    def _answer(self, found: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """What the cells `found` [..., W], in the units of the targets; `seen` is what they had just read."""
        answer = self.target.back(self.head(self.dropout(found)))
        return answer + seen[..., :1] if self.config.residual else answer


class Steps(nn.Module):
    """A network as it is served step by step, its state going in and out."""

    def __init__(self, network: Recurrent) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`Recurrent.step`."""
        return self.network.step(inputs, state)


def _lengths(ids: torch.Tensor) -> torch.Tensor:
    """How many tokens each of `ids` int64 [N, T] has before its padding, int64 [N]; an empty text has one."""
    places = torch.arange(1, ids.shape[1] + 1, device=ids.device)
    # Packing wants them where the program runs, whatever the device.
    return (places * (ids != 0)).amax(dim=1).clamp(min=1).cpu()


def _moments(windows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of each of `windows` [N, T, F], both [N, 1, F]; a constant's deviation is next to nothing."""
    middle = windows.mean(dim=1, keepdim=True)
    return middle, ((windows - middle).square().mean(dim=1, keepdim=True) + FLOOR).sqrt()


@torch.no_grad()
def _initialise_cells(cells: nn.RNNBase, *, lasting: bool) -> None:
    """Weights of inputs by Glorot, of the state orthogonal, gate by gate; biases zero, but for what makes one last."""
    width = cells.hidden_size
    for name, weights in cells.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(weights)
            if lasting and name.startswith("bias_ih"):
                nn.init.ones_(weights[width : 2 * width])  # torch has the gate that forgets second
            continue
        for gate in weights.split(width):  # type: ignore[no-untyped-call] # torch leaves it untyped
            (nn.init.orthogonal_ if name.startswith("weight_hh") else nn.init.xavier_uniform_)(gate)
