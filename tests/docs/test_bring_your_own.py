"""What docs/bring-your-own.md says of networks and models of one's own, run as it is."""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.docs.bring_your_own import BLOCKS, COMMANDS, FILES, KERAS, PAGE
from training import serving
from training.__main__ import app
from training.imports import keras_model
from training.session import open_runner


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files that the page speaks of, after all that it does but for TensorFlow."""
    folder = tmp_path_factory.mktemp("own")
    random = np.random.default_rng(1)
    for name in ("cat", "dog"):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(0, 200, (16, 16, 3)).astype(np.uint8) + np.uint8(50 * (name == "cat"))
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{number}.png")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "labels.txt").write_text("cat\ndog\n")
    np.savez(folder / "samples.npz", image=random.integers(0, 256, (3, 3, 16, 16), dtype=np.uint8))
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # between Keras and what it uses
        patch.chdir(folder)
        patch.setenv("KERAS_BACKEND", "torch")
        keras_model._keras()
        exec(KERAS, {})
        for words in COMMANDS[:-1]:
            result = CliRunner().invoke(app, words.split())
            assert 0 == result.exit_code, result.output
    yield folder
    sys.modules.pop("mynet", None)


def test_the_page_is_understood() -> None:
    """Nothing on it goes unrun."""
    assert PAGE.count("```") == 2 * len(BLOCKS)
    assert {"mynet.py", "cats.yaml"} == set(FILES)
    assert ["train", "export", "import", "import", "import"] == [words.split()[0] for words in COMMANDS]
    assert "--python" in COMMANDS[-1]  # what needs TensorFlow is run by tests/tensorflow


def test_the_service_answers_for_the_network(here: Path) -> None:
    """Trained, exported, imported, served: the labels are the page's."""
    pixels = np.random.default_rng(2).integers(0, 256, (2, 3, 16, 16), dtype=np.uint8)
    (expected,) = open_runner(here / "mine.onnx")([pixels])
    with serving.serving(here / "runs" / "models", ["mine", "from-keras"]) as served:
        (answer,) = served.request("mine", {"image": pixels})().values()
        assert np.allclose(expected, answer, atol=1e-6)
        picture = np.zeros((2, 8, 8, 1), np.float32)
        answer = served.request("from-keras", {"picture": picture})()["probabilities"]
        assert np.allclose(1, answer.sum(axis=1), atol=1e-5)
