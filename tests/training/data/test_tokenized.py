"""Texts as rows of ids."""

import numpy as np
import pytest
from tokenizers import Tokenizer

from tests.training.data.parts import assert_array
from training.data.split import Dataset, Split
from training.data.tokenized import PADDING, Tokenized, padded, sources_of, tokenize
from training.data.tokens import TokenizerSettings


def part(*texts: str) -> Split:
    return Split(
        inputs=np.array(texts, dtype=object), targets=np.zeros(len(texts), np.int64), sources=np.arange(len(texts))
    )


@pytest.fixture(scope="module")
def read() -> Tokenized:
    dataset = Dataset(
        train=part("abab abab", "ab"), validation=part("z" * 40), test=part("zyzy zyzy", "zyzy"), classes=("x",)
    )
    return tokenize(dataset, TokenizerSettings(vocabulary=260), length=16)


def test_a_text_is_a_row(read: Tokenized) -> None:
    """Cut where it is longer, and with 0 behind it where it is shorter."""
    train = read.dataset.train
    assert_array(train.inputs, np.int64, (2, 16))
    assert PADDING in train.inputs[0]
    assert "abab abab" == read.tokenizer.decode(train.inputs[0].tolist())
    assert "z" * 16 == read.tokenizer.decode(read.dataset.validation.inputs[0].tolist())


def test_the_tokenizer_knows_the_training_part_alone(read: Tokenized) -> None:
    """What is only tested on has no token of its own."""
    assert read.tokenizer.token_to_id("ab") is not None
    assert read.tokenizer.token_to_id("zy") is None


def test_the_file_of_the_tokenizer_cuts_nothing(read: Tokenized) -> None:
    """How much of a text is read is a setting of the network; another length goes with the same file."""
    tokenizer = Tokenizer.from_str(read.tokenizer.to_str())
    assert 100 == len(tokenizer.encode("z" * 100).ids)
    assert (1, 50) == padded(["z" * 100], tokenizer, 50).shape


def test_texts_that_begin_alike_are_of_one_source() -> None:
    """As far as a network reads; a token has one byte at least, so letters of two bytes count twice."""
    assert [0, 0, 1, 0] == sources_of(["abcd", "abce", "abxd", "abc"], length=3).tolist()
    assert [0, 0, 1] == sources_of(["üüa", "üüb", "üab"], length=4).tolist()
