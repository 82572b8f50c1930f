"""Paragraphs and their pages."""

from pydoc_data.topics import topics

import numpy as np
import pytest

from tests.training.data.parts import assert_apart, assert_array, assert_by_seed, assert_sound, parts
from training.data import texts
from training.data.texts import TextsSettings
from training.data.tokenized import PADDING, Tokenized
from training.data.tokens import TokenizerSettings, end_of

SMALL = TextsSettings(pages=3, length=32, tokenizer=TokenizerSettings(vocabulary=400))


@pytest.fixture(scope="module")
def read() -> Tokenized:
    return texts.read(SMALL, seed=7)


def test_paragraphs_are_rows_of_ids(read: Tokenized) -> None:
    """Ids int64 of one length below the vocabulary, with 0 behind shorter ones and nowhere else; labels of pages."""
    for part in parts(read.dataset):
        assert_array(part.inputs, np.int64, (len(part), 32))
        assert_array(part.targets, np.int64, (len(part),))
        assert 0 <= part.inputs.min() <= part.inputs.max() < 400
        assert (part.inputs[:, 0] != PADDING).all()
        assert (np.diff((part.inputs == PADDING).astype(int), axis=1) >= 0).all()
        assert {0, 1, 2} == set(part.targets)
    assert PADDING == end_of(read.tokenizer)
    assert_apart(read.dataset)
    assert_sound(read.dataset)


def test_a_paragraph_stands_on_the_page_of_its_label(read: Tokenized) -> None:
    """Labels are what the material says, so they can be looked up in it, and in one page only."""
    pages = {name: " ".join(topics[name].split()) for name in read.dataset.classes}
    for ids, label in zip(read.dataset.test.inputs[:40], read.dataset.test.targets[:40], strict=True):
        text = read.tokenizer.decode([one for one in ids if one != PADDING]).rstrip("\ufffd")
        assert text in pages[read.dataset.classes[label]]


def test_the_seed_decides_the_parts() -> None:
    """And with them the tokenizer, which the training part alone makes."""
    assert_by_seed(lambda seed: texts.load(SMALL, seed))
    assert texts.read(SMALL, 7).tokenizer.to_str() != texts.read(SMALL, 8).tokenizer.to_str()


def test_a_paragraph_of_two_pages_belongs_to_none() -> None:
    """It has no one label."""
    alone, other, shared = (f"A paragraph of a page that is long enough, number {number}." for number in range(3))
    pages = {"one": f"{alone} {alone}\n\n{shared}", "two": f"{other} {other}\n\n{shared}"}
    assert {"one": [f"{alone} {alone}"], "two": [f"{other} {other}"]} == texts._own_paragraphs(pages)


@pytest.mark.parametrize("pages, length, told", [(1, 64, "pages"), (13, 64, "pages"), (8, 0, "length")])
def test_settings_have_bounds(pages: int, length: int, told: str) -> None:
    """One page is nothing to tell apart, and small ones have few paragraphs."""
    with pytest.raises(ValueError, match=f"{told}: must be between"):
        TextsSettings(pages=pages, length=length)
