"""A SavedModel made and converted by a real TensorFlow, in an environment of its own: `make test-tensorflow`."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.architecture.sources import ROOT
from tests.docs.bring_your_own import COMMANDS, TENSORFLOW
from training import serving
from training.__main__ import app

PYTHON = ROOT / os.environ.get("TENSORFLOW_VENV", ".venv-tensorflow") / "bin" / "python"
KERAS = """
import keras
keras.utils.set_random_seed(1)
picture = keras.Input((8, 8, 1), name="picture")
pooled = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="relu")(picture))
keras.Model(picture, keras.layers.Dense(3)(pooled)).export("keras-export")
"""
ODD = """
import tensorflow as tf
class Odd(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def __call__(self, x):
        return {"y": tf.math.lgamma(x) + tf.math.igamma(x, x)}
odd = Odd()
tf.saved_model.save(odd, "odd", signatures=odd.__call__)
tf.saved_model.save(odd, "unsigned", signatures={"another": odd.__call__})
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the SavedModel of the page, one that Keras exported, and one that can't be converted."""
    folder = tmp_path_factory.mktemp("tensorflow")
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    for program in (TENSORFLOW, KERAS, ODD):
        subprocess.run([PYTHON, "-I", "-c", program], cwd=folder, env=quiet, capture_output=True, check=True)
    return folder


def bring(here: Path, words: list[str]) -> Result:
    words = [str(PYTHON) if word.endswith("bin/python") else word for word in words]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        return CliRunner().invoke(app, words)


def test_the_example_is_published_and_served(here: Path) -> None:
    """As the page says it: names and shapes are the signature's, and a batch of any size is answered."""
    (words,) = [words for words in COMMANDS if "--python" in words]
    result = bring(here, words.split())
    assert 0 == result.exit_code, result.output
    rows = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    with serving.serving(here / "runs" / "models", ["from-tensorflow"]) as served:
        answer = served.request("from-tensorflow", {"rows": rows})()["scores"]
    assert (5, 3) == answer.shape
    assert np.allclose(1, answer.sum(axis=1), atol=1e-5)


def test_what_keras_exported_is_taken_too(here: Path) -> None:
    """And the card names what converted it, and every file of the folder."""
    words = ["import", "keras-export", "--name", "k", "--python", "bin/python", "--repository", "models", "--json"]
    result = bring(here, words)
    assert 0 == result.exit_code, result.output
    evidence: dict[str, Any] = json.loads(result.stdout)["evidence"]
    assert {"tensorflow", "tf2onnx"} == set(evidence["imported"]["converted_by"])
    assert {"saved_model.pb", "variables/variables.index"} < set(evidence["imported"]["files"])
    assert [[1, 8, 8, 1], [3, 8, 8, 1], [8, 8, 8, 1]] == evidence["parity"]["shapes"]
    assert evidence["parity"]["difference"] < 1e-5


@pytest.mark.parametrize(
    "folder, text",
    [("odd", "operators that ONNX Runtime doesn't have: Igamma, Lgamma"), ("unsigned", "serving_default")],
)
def test_what_cannot_be_converted_is_named(folder: str, text: str, here: Path) -> None:
    """All operators at once, and the signature that is missing."""
    result = bring(here, ["import", folder, "--name", "x", "--python", "bin/python", "--repository", "models"])
    assert 1 == result.exit_code
    assert text in result.stderr
