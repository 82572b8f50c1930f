"""Models of Keras 3: as an ONNX graph with names of their own, for any batch."""

import os
import random
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from service.errors import ArtifactError, SettingsError
from training.imports import keras_model
from training.imports.converted import Converted
from training.imports.proving import prove


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    """Keras on torch, as its user has it, with weights that a seed decides."""
    made = keras_model._keras()
    made.utils.set_random_seed(3)
    return made


def save(model: Any, path: Path) -> Path:
    """The file, whatever Keras and its dependencies say of themselves meanwhile."""
    with warnings.catch_warnings(action="ignore"):
        model.save(path)
    return path


def converted(model: Any, folder: Path) -> Converted:
    return keras_model.load(save(model, folder / "model.keras"))


def proved(model: Any, folder: Path) -> Any:
    return prove(converted(model, folder), folder / "model.onnx", samples=None, batched=False)


def test_a_sequential_model_of_pictures(keras: ModuleType, tmp_path: Path) -> None:
    """Channels last, normalised over batches, with dropout that isn't there any more."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="picture"),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax", name="probabilities"),
        ]
    )
    made = proved(model, tmp_path)
    assert made.tensors.batched
    assert ("picture", (-1, 8, 8, 1)) == (made.tensors.inputs[0].name, made.tensors.inputs[0].dims)
    assert ("probabilities", (-1, 3)) == (made.tensors.outputs[0].name, made.tensors.outputs[0].dims)
    assert made.parity < 1e-5
    assert np.allclose(1, made.answers[0].sum(axis=1), atol=1e-5)


def test_inputs_and_outputs_by_name(keras: ModuleType, tmp_path: Path) -> None:
    """Dictionaries keep their keys, also where several outputs come from layers called alike."""
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right", dtype="int32")
    both = keras.layers.Concatenate()([left, keras.ops.cast(right, "float32")])
    outputs = {"wide": keras.layers.Dense(2)(both), "narrow": keras.layers.Dense(1)(both)}
    made = proved(keras.Model({"right": right, "left": left}, outputs), tmp_path)
    assert {"left": "float32", "right": "int32"} == {one.name: one.dtype.name for one in made.tensors.inputs}
    assert {"narrow": (-1, 1), "wide": (-1, 2)} == {one.name: one.dims for one in made.tensors.outputs}


def test_a_length_that_varies_varies(keras: ModuleType, tmp_path: Path) -> None:
    """Where the layers let it; it is tried at two lengths."""
    ids = keras.Input((None,), dtype="int32", name="ids")
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(50, 4)(ids))
    made = proved(keras.Model(ids, keras.layers.Dense(2)(pooled)), tmp_path)
    assert (-1, -1) == made.tensors.inputs[0].dims
    assert ((1, 8), (3, 8), (8, 8), (8, 4)) == made.shapes


def test_a_recurrent_layer_needs_a_length(keras: ModuleType, tmp_path: Path) -> None:
    """Keras unrolls it: with a length it is right, and without one that is found out and said."""
    for length in (5, None):
        series = keras.Input((length, 2), name="series")
        model = keras.Model(series, keras.layers.LSTM(4)(series))
        if length:
            assert proved(model, tmp_path).parity < 1e-5
        else:
            with pytest.raises(ArtifactError, match=r"differs from the original by .* recurrent layer is, fix it in"):
                proved(model, tmp_path)


def test_what_cannot_be_recorded_is_followed(keras: ModuleType, tmp_path: Path) -> None:
    """As attention with a normalisation behind it, of any length."""
    steps = keras.Input((None, 16), name="steps")
    attended = keras.layers.MultiHeadAttention(2, 8)(steps, steps)
    made = proved(keras.Model(steps, keras.layers.LayerNormalization(name="normal")(attended)), tmp_path)
    assert [("steps", (-1, -1, 16)), ("normal", (-1, -1, 16))] == [
        (one.name, one.dims) for one in (*made.tensors.inputs, *made.tensors.outputs)
    ]
    assert made.parity < 1e-5


@pytest.mark.parametrize(
    "operation, text",
    [
        ("eigh", r"^the network can't be exported, an operator in it has no form in ONNX: aten::\w*eigh; compute it"),
        ("lu_factor", r"^model\.keras: Keras can't compute it for zeros \(Exception encountered when calling LuFactor"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(
    keras: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str], operation: str, text: str
) -> None:
    """And torch's own pages about it aren't shown."""
    values = keras.Input((4,), name="values")
    model = keras.Model(values, getattr(keras.ops.linalg, operation)(keras.ops.reshape(values, (-1, 2, 2)))[0])
    path = save(model, tmp_path / "model.keras")
    capfd.readouterr()
    with pytest.raises(ArtifactError, match=text):
        keras_model.load(path)
    assert ("", "") == tuple(capfd.readouterr())


def test_nothing_is_left_behind(keras: ModuleType, tmp_path: Path) -> None:
    """Random states and the environment are as they were."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    before = random.getstate(), torch.random.get_rng_state().tolist(), dict(os.environ)
    first = converted(model, tmp_path)
    between = random.getstate(), torch.random.get_rng_state().tolist(), dict(os.environ)
    assert before[0] == between[0]
    assert before[1] == between[1]
    assert before[2] == between[2]
    assert first.model.SerializeToString() == keras_model.load(tmp_path / "model.keras").model.SerializeToString()


def test_what_cannot_be_read_is_told(keras: ModuleType, tmp_path: Path) -> None:
    """No such archive, code in a model, and one that doesn't say what it takes."""
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(ArtifactError, match=r"text\.keras: Keras can't read it"):
        keras_model.load(tmp_path / "text.keras")

    doubling = keras.layers.Lambda(lambda value: value * 2)
    save(keras.Sequential([keras.Input((2,)), doubling]), tmp_path / "code.keras")
    with pytest.raises(
        ArtifactError, match=r"code\.keras: Keras can't read it \(a Lambda in it is code, which isn't run"
    ):
        keras_model.load(tmp_path / "code.keras")

    save(keras.Sequential([keras.layers.Dense(1)]), tmp_path / "unbuilt.keras")
    with pytest.raises(ArtifactError, match=r"unbuilt\.keras: doesn't say what it takes"):
        keras_model.load(tmp_path / "unbuilt.keras")


def test_keras_is_asked_for_where_it_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the extra that brings it."""
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(SettingsError, match=r"needs Keras: pip install 'hone-serve\[keras\]'"):
        keras_model.load(tmp_path / "model.keras")
