"""A decoder as training publishes it, served: its texts are those of the file."""

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.served import Served, serving
from tests.training.models_decoder import Speaker, publish_speaker
from training.data.tokens import load_tokenizer

PROMPTS = ("The while statement", "if", "elements of a sequence, as long as", "for repeated execution")
COUNT = 20
BROKEN = "\ufffd"
"""Stands for bytes that are no text. At the end they may be the first of a letter: a server waits for the rest."""


@pytest.fixture(scope="module")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    return publish_speaker(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def served(speaker: Speaker) -> Iterator[Served]:
    with serving(speaker.folder.parent) as server:
        yield server


def written(served: Served, prompt: str) -> str:
    body = json.dumps({"text_input": prompt, "max_tokens": COUNT}).encode()
    with urllib.request.urlopen(f"{served.http}/v2/models/speaker/generate", data=body, timeout=60) as answer:
        text: str = json.load(answer)["text_output"]
        return text.rstrip(BROKEN)


def test_texts_that_are_written_together_are_those_of_the_file_alone(served: Served, speaker: Speaker) -> None:
    """Prompts of several lengths at once: rows of a batch are at different places, and each goes on as if alone."""
    tokenizer = load_tokenizer(Path(speaker.folder) / "tokenizer.json")
    expected = [tokenizer.decode(speaker.continuation(prompt, count=COUNT)).rstrip(BROKEN) for prompt in PROMPTS]
    with ThreadPoolExecutor(len(PROMPTS)) as clients:
        found = list(clients.map(lambda prompt: written(served, prompt), PROMPTS))
    assert expected == found
    assert len(set(found)) == len(PROMPTS)
