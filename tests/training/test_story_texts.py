"""The recipe `pages`, from texts to a model that is asked by text: its tokenizer lies beside it."""

import json
import urllib.request

import numpy as np
import pytest
from tokenizers import Tokenizer

from tests.training.stories import Story, check_figures, check_goal, tell
from training import serving
from training.data import texts

TEXT = "A class definition is an executable statement, whose inheritance list usually gives a list of base classes."


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return tell(tmp_path_factory.mktemp("pages"), "pages")


def test_the_report_says_what_is_published(story: Story) -> None:
    """Figures of the file and of the baselines, and the goal, which is more than any one page of the test part."""
    check_figures(story)
    check_goal(story)
    assert story.recipe.goal.value is not None
    test = story.material.dataset.test
    assert story.recipe.goal.value > np.bincount(test.targets).max() / len(test)


def test_texts_of_any_length_are_taken(story: Story) -> None:
    """The config leaves the length of the ids open, and names a class for each probability."""
    (taken,), (given,) = story.config.inputs, story.config.outputs
    assert ("ids", "INT64", [-1]) == (taken.name, taken.datatype, list(taken.shape))
    assert ("probabilities", [3]) == (given.name, list(given.shape))
    assert list(story.material.dataset.classes) == (story.version.parent / "labels.txt").read_text().splitlines()


def test_a_plain_text_is_answered(story: Story) -> None:
    """The service tokenizes it by what lies in the version's folder, as training did, and names the page."""
    settings = story.recipe.data
    assert isinstance(settings, texts.TextsSettings)
    tokenizer = Tokenizer.from_file(str(story.version / "tokenizer.json"))
    ids = np.zeros((1, settings.length), np.int64)
    tokens = tokenizer.encode(TEXT).ids[: settings.length]
    ids[0, : len(tokens)] = tokens
    with serving.serving(story.folder / "models", ["pages"]) as served:
        expected = served.request("pages", {"ids": ids})()["probabilities"][0]
        address = f"http://{served._client._parsed_url.netloc}/v1/models/pages:predict"
        asked = urllib.request.Request(address, TEXT.encode(), {"Content-Type": "text/plain"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            told = json.load(answer)
    best = story.material.dataset.classes[int(expected.argmax())]
    assert best in json.dumps(told)
