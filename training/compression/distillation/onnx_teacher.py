"""A teacher of which there is nothing but an ONNX file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from service.errors import SettingsError
from training.errors import one_line
from training.graph import Tensor, tensors_in
from training.session import open_model
from training.suggestion import suggestion

PREFERRED = ("logits", "probabilities")
"""The outputs that say most, if there are several."""


class OnnxTeacher(nn.Module):
    """What a file answers under one name, as a network does; no gradient comes through it.

    The first input is what students are shown. Others are states of sequences, which begin with zeros.
    """

    def __init__(self, path: Path, *, output: str | None = None, threads: int = 1) -> None:
        """Raises SettingsError if it takes no batch, or has no such output; ArtifactError if it can't be served."""
        super().__init__()
        tensors = tensors_in(path)
        if not tensors.batched:
            raise SettingsError(f"{path.name}: takes one input at a time; a teacher is asked in batches")
        self.path, self.output = path, _chosen([one.name for one in tensors.outputs], output, path)
        self._first, *self._states = tensors.inputs
        self._run = open_model(path, threads=threads)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """`inputs` [N, ...] to the output, [N, ...]. Raises SettingsError where they aren't what the file takes."""
        shown = {self._first.name: inputs.detach().cpu().numpy().astype(self._first.dtype, copy=False)}
        shown |= {state.name: _zeros(state, len(inputs), self.path) for state in self._states}
        try:
            answers = self._run(shown)
        except Exception as error:
            text = f"{self.path.name}: can't compute {self._first.name} {list(inputs.shape)}"
            raise SettingsError(f"{text} ({one_line(error)})") from error
        return torch.from_numpy(np.array(answers[self.output])).to(inputs.device)


def _chosen(names: Sequence[str], wanted: str | None, path: Path) -> str:
    if wanted is None:
        return next((name for name in PREFERRED if name in names), names[0])
    if wanted not in names:
        raise SettingsError(f"{path.name}: has no output `{wanted}`{suggestion(wanted, names)}")
    return wanted


def _zeros(state: Tensor, rows: int, path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
    if min(state.dims[1:], default=0) < 0:
        raise SettingsError(f"{path.name}: `{state.name}` has no fixed shape, so that it can't begin with zeros")
    return np.zeros((rows, *state.dims[1:]), dtype=state.dtype)
