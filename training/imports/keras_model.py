"""A Keras 3 model becomes an ONNX graph: its torch backend makes it a `torch.nn.Module`, whose call is recorded.

Keras has an exporter of its own. It names outputs by numbers, and as it records a call too, it is no more than this.
"""

import os
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from service.errors import ArtifactError, SettingsError
from training.errors import one_line
from training.graph import BATCH
from training.imports.converted import Converted
from training.seeding import seeded
from training.session import Arrays
from training.tracing import follow, trace_calls

CODE_OF_ITS_OWN = "a Lambda in it is code, which isn't run; say the same with layers of Keras, or keras.ops"
VARYING = 2
"""How long whatever varies is in the call that is recorded; 1 might be taken for what never varies."""


def load(path: Path) -> Converted:
    """The model in the `.keras` file `path`. Raises SettingsError without Keras, and ArtifactError about the model."""
    with _random_state_kept():
        keras = _keras()
        try:
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # whatever a layer's constructor makes of its settings
            said = CODE_OF_ITS_OWN if "safe_mode" in str(error) else one_line(error)
            raise ArtifactError(f"{path.name}: Keras can't read it ({said})") from error
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ArtifactError(f"{path.name}: doesn't say what it takes; a Functional or Sequential model does")
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs)  # the same layers, with names of their ends
    outputs = _output_names(model)
    flat = _Flat(keras, model).eval()
    try:
        graph = _graph(flat, model.inputs, outputs)
    except ArtifactError:
        raise
    except Exception as error:  # whatever a layer says of what it is given
        raise ArtifactError(f"{path.name}: Keras can't compute it for zeros ({one_line(error)})") from error

    def original(names: Sequence[str], batches: Sequence[Arrays]) -> list[dict[str, Any]]:
        return [
            dict(zip(outputs, flat.answers(dict(zip(names, batch, strict=True))), strict=True)) for batch in batches
        ]

    return Converted(model=graph, original=original, made_by={"keras": keras.__version__}, traced=True)


class _Flat(nn.Module):
    """The model with its inputs one by one, in whatever structure it wants them, and its outputs as a tuple."""

    def __init__(self, keras: ModuleType, model: Any) -> None:
        super().__init__()
        self.model = model
        self._tree = keras.tree
        self._names = [tensor.name for tensor in model.inputs]

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """One tensor for each of the model's inputs to one for each output."""
        structure = self.model.input
        asked = self._tree.pack_sequence_as(structure, list(inputs))
        return tuple(self._tree.flatten(self.model(asked, training=False)))

    def answers(self, named: dict[str, Any]) -> list[np.ndarray[Any, Any]]:
        """The same for arrays by the names of the inputs."""
        with torch.inference_mode():
            answers = self(*(torch.from_numpy(named[name]) for name in self._names))
        return [answer.cpu().numpy() for answer in answers]


def _graph(flat: nn.Module, inputs: Sequence[Any], outputs: Sequence[str]) -> onnx.ModelProto:
    """The graph of a call. Where torch can't record one, as of a normalisation whose shape it takes for a result, it
    can follow the code instead, which takes longer and knows fewer layers.
    """
    names: dict[str, Any] = {"inputs": [one.name for one in inputs], "outputs": outputs}
    varying = {one.name: [axis for axis, side in enumerate(one.shape) if axis and not side] for one in inputs}
    examples = tuple(
        torch.zeros([side or VARYING for side in one.shape], dtype=getattr(torch, one.dtype)) for one in inputs
    )
    axes = {name: {0: BATCH} | {axis: f"{name}_{axis}" for axis in others} for name, others in varying.items()}
    try:
        return trace_calls(flat, examples, **names, axes=axes | {name: {0: BATCH} for name in outputs})
    except ArtifactError as recorded:
        batch, any_size = torch.export.Dim(BATCH), torch.export.Dim.DYNAMIC
        shapes = tuple({0: batch} | dict.fromkeys(others, any_size) for others in varying.values())
        try:
            with warnings.catch_warnings(
                action="ignore"
            ):  # torch warns of what Keras keeps of a call, which is nothing
                return follow(flat, examples, **names, dynamic_shapes=(shapes,))  # `forward` has one, *inputs
        except ArtifactError:
            raise recorded from None


def _output_names(model: Any) -> list[str]:
    """What the model calls its outputs: the keys of a dictionary, or else the layers that they come from."""
    names = sorted(model.output) if isinstance(model.output, dict) else list(model.output_names)
    return [name if names.count(name) == 1 else f"{name}_{place}" for place, name in enumerate(names)]


def _keras() -> ModuleType:
    """Keras on torch. What computes is decided when it is imported, and by nothing but a variable."""
    before = {name: os.environ.get(name) for name in ("KERAS_BACKEND", "KERAS_TORCH_DEVICE")}
    os.environ |= {"KERAS_BACKEND": "torch", "KERAS_TORCH_DEVICE": "cpu"}
    try:
        import keras
    except ImportError as error:
        raise SettingsError(f"a .keras file needs Keras: pip install 'hone-serve[keras]' ({error})") from error
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    if keras.backend.backend() != "torch":
        raise SettingsError(f"Keras is in use with {keras.backend.backend()}; this needs KERAS_BACKEND=torch")
    module: ModuleType = keras
    return module


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Keras draws seeds from Python's random numbers, and first weights from torch's."""
    state = random.getstate()
    try:
        with seeded(0):
            yield
    finally:
        random.setstate(state)
