"""A trained decoder becomes one ONNX file that continues texts: a few tokens and a cache in, logits and the cache out.

Whoever serves it keeps cache and position of every text and feeds them back, as with any model that has states; rows
of a batch may be at different places. The file is compared with the network, which sees whole texts at once, before
anyone else sees it.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from service.errors import ArtifactError
from training.data.tokens import Ids
from training.durable import put
from training.networks.decoder import Decoder, DecoderConfig
from training.session import Floats, Step, open_stepper
from training.tracing import trace_calls

INPUTS = ("input_ids", "past", "position")
OUTPUTS = ("logits", "past_out", "position_out")
PARITY_BATCHES = (1, 2, 5)
PARITY_LENGTHS = (1, 7)
PARITY_TOLERANCE = 1e-4
"""Largest difference in a logit that is put down to the order of additions."""


class Stepwise(nn.Module):
    """A decoder as it is served."""

    def __init__(self, network: Decoder) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, input_ids: torch.Tensor, past: torch.Tensor, position: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`Decoder.step`: ids int64 [N, T], past [N, L, 2, H, C, D] and position int64 [N, 1]."""
        return self.network.step(input_ids, past, position)


def export(network: Decoder, texts: Ids, path: Path) -> float:
    """Write `network` to the ONNX file `path`: inputs `input_ids` INT64 [N, T], `past` FP32 [N, L, 2, H, C, D] and
    `position` INT64 [N, 1]; outputs `logits` FP32 [N, T, V], `past_out` and `position_out` like what goes in.

    `texts` int64 [N, M], N >= 5, M at most the context, are what parity is checked on. Returns the largest difference
    in a logit. Raises ArtifactError if it is beyond the tolerance.
    """
    served = Stepwise(network).eval()
    examples = (torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, *network.config.cache_shape))
    axes = {name: {0: "batch"} for name in (*INPUTS, *OUTPUTS)}
    axes[INPUTS[0]][1] = axes[OUTPUTS[0]][1] = "tokens"
    model = trace_calls(
        served,
        (*examples, torch.ones(2, 1, dtype=torch.int64)),
        inputs=INPUTS,
        outputs=OUTPUTS,
        axes=axes,
    )
    put(path, model.SerializeToString(deterministic=True))
    return check_parity(network, texts, path)


def empty(config: DecoderConfig, rows: int) -> tuple[Floats, Ids]:
    """The cache and the positions of `rows` texts that haven't begun: zeros."""
    return np.zeros((rows, *config.cache_shape), np.float32), np.zeros((rows, 1), np.int64)


def check_parity(network: Decoder, texts: Ids, path: Path) -> float:
    """The largest difference of a logit between the network on whole `texts` and the file step by step.

    For three batch sizes and two lengths of a step; in every batch each row is ahead of the one before it. Raises
    ArtifactError if it is large.
    """
    with torch.inference_mode():
        expected = network(torch.from_numpy(texts)).numpy()
    step = open_stepper(path)
    worst = 0.0
    for rows in PARITY_BATCHES:
        for length in PARITY_LENGTHS:
            some = texts[:rows]
            starts = [min(3 * row, texts.shape[1] - 1) for row in range(rows)]
            for at, found in replay(step, some, network.config, starts=starts, length=length):
                for row, place in enumerate(at):
                    whole = expected[row, place : place + length]
                    # Python's max would pass over what is no number.
                    worst = float(np.maximum(worst, np.abs(found[row, : len(whole)] - whole).max()))
    if not worst <= PARITY_TOLERANCE:
        raise ArtifactError(f"{path.name}: differs from the trained network by {worst:.2g} in a logit")
    return worst


def replay(
    step: Step, texts: Ids, config: DecoderConfig, *, starts: Sequence[int], length: int
) -> Iterator[tuple[list[int], Floats]]:
    """Feed `texts` int64 [N, M] in one batch, `length` tokens a step, each row beginning at its start.

    What is before a row's start is fed alone, in one step. Yields, for every step, where each row was and the logits
    [N, length, V], until the first row is at its end.
    """
    past, position = empty(config, len(texts))
    for row, start in enumerate(starts):
        if start:
            one = slice(row, row + 1)
            _, past[one], position[one] = step(texts[one, :start], past[one], position[one])
    while int(position.max()) + length <= texts.shape[1]:
        at = position[:, 0].tolist()
        chunk = np.stack([text[place : place + length] for text, place in zip(texts, at, strict=True)])
        logits, past, position = step(chunk, past, position)
        yield at, logits


def continued(
    step: Step, prompt: Ids, config: DecoderConfig, *, count: int, end: int, watch: Callable[[int], None] | None = None
) -> list[int]:
    """The most probable continuation of `prompt` int64 [M], token by token: at most `count`, and none after `end`.

    `watch` is told every token as it comes.
    """
    past, position = empty(config, 1)
    found: list[int] = []
    new = prompt[None]
    while len(found) < min(count, config.context - len(prompt)):
        logits, past, position = step(new, past, position)
        token = int(logits[0, -1].argmax())
        if token == end:
            break
        found.append(token)
        if watch is not None:
            watch(token)
        new = np.array([[token]], np.int64)
    return found
