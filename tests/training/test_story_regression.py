"""The recipe `diabetes`, from rows of numbers to values that the service answers in the targets' units."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.training.limits import files_up_to
from tests.training.stories import Story, check_figures, check_goal, tell
from tests.training.test_full_disk import visible
from training import serving
from training.__main__ import app
from training.commands.outcome import FAILED


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return tell(tmp_path_factory.mktemp("diabetes"), "diabetes")


def test_the_report_says_what_is_published(story: Story) -> None:
    """Figures of the file and of the baselines, and the goal."""
    check_figures(story)
    check_goal(story)
    assert {"mean value", "linear regression"} == set(story.report["judged"]["baselines"])


def test_the_config_names_tensors(story: Story) -> None:
    """Ten figures of a patient to one value; no labels."""
    (taken,), (given,) = story.config.inputs, story.config.outputs
    assert ("features", "FP32", [10]) == (taken.name, taken.datatype, list(taken.shape))
    assert ("values", "FP32", [1]) == (given.name, given.datatype, list(given.shape))
    assert not (story.version.parent / "labels.txt").exists()


def test_examples_are_the_largest_errors(story: Story) -> None:
    """The worst first, with what was wanted and what was answered."""
    wanted = story.material.dataset.test.targets[:, 0]
    found = story.answers()["values"][:, 0]
    examples = story.report["judged"]["examples"]
    assert np.argsort(-np.abs(found - wanted), kind="stable")[0] == examples[0]["place"]
    for one in examples:
        assert float(one["wanted"]) == pytest.approx(wanted[one["place"]], rel=1e-3)
        assert float(one["answered"]) == pytest.approx(found[one["place"]], rel=1e-3)


def test_the_service_answers_as_the_file(story: Story) -> None:
    """The published model, served, says of the test part what its file says."""
    with serving.serving(story.folder / "models", ["diabetes"]) as served:
        found = served.request("diabetes", {"features": story.material.dataset.test.inputs[:8]})()
    assert np.allclose(story.answers()["values"][:8], found["values"], rtol=1e-5)


@pytest.mark.parametrize("size", [0, 500, 2000])
def test_a_disk_that_is_full_publishes_nothing(story: Story, tmp_path: Path, size: int) -> None:
    """Wherever space ends, no half of a model can be seen; with space the same command publishes it."""
    words = ["publish", "diabetes", "--profile", "tiny", "--runs", str(story.folder / "runs")]
    words += ["--repository", str(tmp_path / "models")]
    with files_up_to(size):
        failed = CliRunner().invoke(app, words)
    assert FAILED == failed.exit_code
    assert "error: [Errno 27] File too large: " in failed.stderr
    assert [] == visible(tmp_path / "models")
    assert 0 == CliRunner().invoke(app, words).exit_code
    assert ["diabetes"] == visible(tmp_path / "models")
