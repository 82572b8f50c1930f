"""Every architecture as a file: self-contained, for any batch and length, with the answers of the network."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.training.architectures import ARCHITECTURES, Architecture, answers, learned
from training.export import export
from training.session import open_runner

LIKE_OTHERS = {"mlp", "mlp with layer normalisation", "mlp of sigmoids", "depthwise that embeds"}
"""Left out, since each takes seconds and has no kind of layer that no other has."""


@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(one, id=name, marks=() if one.signature.lengthy else pytest.mark.slow)
        for name, one in ARCHITECTURES.items()
        if name not in LIKE_OTHERS
    ],
)
def test_the_file_answers_as_the_network(architecture: Architecture, tmp_path: Path) -> None:
    """One file, without paths, whose batch varies, and its length where texts and series have one."""
    network = learned(architecture, 5)
    path = tmp_path / "model.onnx"
    samples = [tensor.numpy() for tensor in architecture.asked]
    assert export(architecture.served(network), samples, path, architecture.signature) < 1e-4

    model = onnx.load(path, load_external_data=False)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")  # weights may spell anything
    assert b".py" not in model.SerializeToString()
    for named, values in (
        (architecture.signature.inputs, model.graph.input),
        (architecture.signature.outputs, model.graph.output),
    ):
        assert list(named) == [value.name for value in values]
        for value, varying in zip(values, named.values(), strict=True):
            sides = [side.dim_value for side in value.type.tensor_type.shape.dim]
            assert [0] * len(varying) == sides[: len(varying)]
    for expected, found in zip(answers(network, architecture), open_runner(path)(samples), strict=True):
        assert np.allclose(expected, found, atol=1e-4)
