"""Texts and tokens: parts that share nothing, and text that comes back as it was."""

from pathlib import Path
from pydoc_data.topics import topics as everything

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.data import tokens, topics, windows
from training.data.tokens import END, TokenizerSettings
from training.data.topics import Texts, TopicsSettings, cut, distinct, paragraphs, related

TOKENIZER = tokens.train_tokenizer(
    ["the while statement is used for repeated execution"] * 3, TokenizerSettings(vocabulary=280)
)
LONG = "A paragraph that is long enough to stand in two texts by copying alone, number {}."


def text(*numbers: int) -> str:
    return "\n\n".join(LONG.format(number) for number in numbers)


@pytest.fixture(scope="module")
def texts() -> Texts:
    return topics.load(TopicsSettings(), seed=7)


def test_parts_share_neither_topic_nor_paragraph(texts: Texts) -> None:
    """What is tested on was never learnt from, under no other heading either."""
    parts = (texts.train, texts.validation, texts.test)
    names = [name for part in parts for name in part]
    assert sorted(set(names)) == sorted(names)
    pieces = [frozenset().union(*(paragraphs(one) for one in part.values())) for part in parts]
    assert not pieces[0] & pieces[1]
    assert not (pieces[0] | pieces[1]) & pieces[2]


def test_parts_have_their_shares(texts: Texts) -> None:
    """Validation and test come close to what was asked for, and no text is lost but by repeating another."""
    sizes = [sum(map(len, part.values())) for part in (texts.train, texts.validation, texts.test)]
    assert 0.07 <= sizes[1] / sum(sizes) <= 0.08
    assert 0.11 <= sizes[2] / sum(sizes) <= 0.12
    assert sum(sizes) == sum(len(one) for one in distinct(everything).values())


def test_the_seed_decides_the_parts(texts: Texts) -> None:
    """The same seed gives the same parts, another one others."""
    assert texts == topics.load(TopicsSettings(), seed=7)
    assert texts.test.keys() != topics.load(TopicsSettings(), seed=8).test.keys()


def test_a_topic_that_repeats_a_larger_one_is_left_out() -> None:
    """Of a section and the chapter that holds it, the chapter stays; what shares a little stays too."""
    found = distinct({"chapter": text(1, 2, 3), "section": text(2), "other": text(3, 4, 5)})
    assert {"chapter", "other"} == found.keys()


def test_topics_that_share_a_paragraph_stay_together() -> None:
    """Directly or over others, and whatever their order."""
    found = related({"a": text(1, 2), "b": text(5), "c": text(3, 4), "d": text(2, 3)})
    assert [("a", "c", "d"), ("b",)] == found


@given(
    sizes=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=5), min_size=1, max_size=20),
    seed=st.integers(0, 99),
)
def test_any_texts_are_cut_without_overlap(sizes: list[list[int]], seed: int) -> None:
    """However texts overlap, no paragraph is in two parts, and none is lost."""
    texts = {str(index): text(*numbers) for index, numbers in enumerate(sizes)}
    found = cut(texts, TopicsSettings(), seed)
    pieces = [
        {piece for one in part.values() for piece in paragraphs(one)}
        for part in (found.train, found.validation, found.test)
    ]
    assert sum(map(len, pieces)) == len(set().union(*pieces))
    assert set(distinct(texts)) == {*found.train, *found.validation, *found.test}


@given(st.text())
def test_every_text_comes_back_as_it_was(told: str) -> None:
    """Bytes are the alphabet, so nothing is unknown: also what the tokenizer never saw."""
    text = told.replace(END, "")
    assert text == TOKENIZER.decode(TOKENIZER.encode(text).ids)


def test_a_tokenizer_is_saved_whole(tmp_path: Path) -> None:
    """The file alone gives the same tokens, byte for byte the same file, and knows the end of a text."""
    path = tmp_path / "tokenizer.json"
    TOKENIZER.save(str(path))
    again = tokens.load_tokenizer(path)
    assert TOKENIZER.encode("the while statement").ids == again.encode("the while statement").ids
    assert tokens.end_of(TOKENIZER) == tokens.end_of(again) == again.encode(END).ids[0]
    assert TOKENIZER.to_str() == again.to_str()
    assert len(TOKENIZER.encode("the while").ids) < len("the while")


def test_passages_begin_and_end_with_the_end_of_a_text() -> None:
    """In a stream there is one end between two texts, and one at either side."""
    first, second = tokens.passages(TOKENIZER, {"a": "the while", "b": "für"})
    end = tokens.end_of(TOKENIZER)
    assert [end, end] == [first.ids[0], first.ids[-1]]
    assert (9, 4) == (first.bytes, second.bytes)
    stream = tokens.stream((first, second))
    assert 3 == (stream == end).sum()
    assert len(first.ids) + len(second.ids) - 1 == len(stream)


IDS = np.arange(1000, dtype=np.int64)


@given(length=st.integers(1, 60), size=st.integers(1, 9), number=st.integers(0, 5))
def test_windows_are_stretches_and_what_follows(length: int, size: int, number: int) -> None:
    """Every label is the token after; in an epoch none is asked for twice, and all but a window's length are."""
    batches = list(windows.Windows(IDS, length=length, size=size, noise=0.0, seed=3).epoch(number))
    assert all(torch.equal(batch.inputs + 1, batch.targets) for batch in batches)
    asked = torch.cat([batch.targets.flatten() for batch in batches])
    assert len(asked) == len(set(asked.tolist())) >= len(IDS) - 2 * length
    assert len(batches) == len(windows.Windows(IDS, length=length, size=size, noise=0.0, seed=3))


def test_an_epoch_is_repeated_by_its_number() -> None:
    """The same number gives the same batches, which a resumed run needs; another number others."""
    cut = windows.Windows(IDS, length=16, size=4, noise=0.2, seed=3)
    first, again, other = ([batch.inputs for batch in cut.epoch(number)] for number in (1, 1, 2))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_noise_changes_what_is_seen_and_not_what_is_asked() -> None:
    """About the share that was asked for is exchanged, for tokens of the stream."""
    batches = list(windows.Windows(IDS, length=50, size=19, noise=0.2, seed=3).epoch(0))
    changed = torch.cat([(batch.inputs + 1 != batch.targets).flatten() for batch in batches]).float().mean()
    assert 0.15 < changed < 0.25


def test_held_out_windows_follow_each_other() -> None:
    """In order, every token but what is left at the end foretold once."""
    part = windows.held_out(IDS[:100], 30)
    assert (3, 30) == part.inputs.shape
    assert np.array_equal(np.arange(1, 91), part.targets.ravel())
    with pytest.raises(ValueError, match="too few"):
        windows.held_out(IDS[:30], 30)


def test_a_plain_sample_is_windows_without_noise() -> None:
    """Always the same ones, in order, each of them somewhere in the stream with what follows it."""
    cut = windows.Windows(IDS, length=16, size=4, noise=0.9, seed=3)
    sample = cut.plain(5)
    assert (5, 16) == sample.inputs.shape
    assert np.array_equal(sample.inputs, cut.plain(5).inputs)
    for place, seen, following in zip(sample.sources, sample.inputs, sample.targets, strict=True):
        assert np.array_equal(IDS[16 * place : 16 * place + 16], seen)
        assert np.array_equal(IDS[16 * place + 1 : 16 * place + 17], following)
