"""Texts as tensors, by the steps on a card."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from service.artifact.card import Tokenize
from service.artifact.tokenizer import load_tokenizer
from service.artifact.tokenizing import MAX_TEXT_BYTES, TextError, check_tokenizer, text_tensors
from service.errors import ArtifactError
from tests.integration.classifier import LONGEST, TEXTS, encode, steps, tokenizer_json

IDS = Tokenize(file="tokenizer.json", gives="ids", max_length=8, pad=0, datatype="INT32")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Which would cut and fill texts by itself, if it were asked."""
    made = Tokenizer.from_str(tokenizer_json())
    made.enable_padding(length=77)
    made.enable_truncation(5)
    return load_tokenizer(made.to_str(), source="here")


@pytest.mark.parametrize("text", [*TEXTS, "if"])
def test_texts_become_tokens(tokenizer: Tokenizer, text: str) -> None:
    """Those of the library, cut to the longest text, in the datatypes that the card says."""
    made = text_tensors(text.encode(), steps(), tokenizer)

    assert ["input_ids", "attention_mask", "token_type_ids"] == list(made)
    for name, expected in encode(text).items():
        assert np.int64 == made[name].dtype
        np.testing.assert_array_equal(expected[0], made[name])


def test_short_texts_are_filled_up(tokenizer: Tokenizer) -> None:
    """Each tensor with what its step says, to its own length."""
    made = text_tensors(b"if", {**steps(padded=True), "short": (IDS,)}, tokenizer)
    (plain,) = encode("if")["input_ids"]

    assert {LONGEST, 8} == {len(row) for row in made.values()}
    assert np.int32 == made["short"].dtype
    assert [*plain, *[0] * (8 - len(plain))] == made["short"].tolist()
    assert len(plain) == made["attention_mask"].sum()


@pytest.mark.parametrize(
    "content, text",
    [
        (b"\xc3", "isn't UTF-8: byte 0"),
        (b"ab\xed\xa0\x80", "isn't UTF-8: byte 2"),
        (b"a" * (MAX_TEXT_BYTES + 1), f"at most {MAX_TEXT_BYTES} are tokenized"),
    ],
)
def test_what_is_no_text(tokenizer: Tokenizer, content: bytes, text: str) -> None:
    """It is refused before anything is made of it."""
    with pytest.raises(TextError, match=text):
        text_tensors(content, steps(), tokenizer)


def test_a_text_without_tokens(tokenizer: Tokenizer) -> None:
    """Where nothing is put around it, it is none."""
    alone = Tokenizer.from_str(tokenizer.to_str())
    alone.post_processor = None
    with pytest.raises(TextError, match="no tokens"):
        text_tensors(b"\0 ", steps(), alone)
    assert 2 == len(text_tensors(b"", steps(), tokenizer)["input_ids"])


@pytest.mark.parametrize(
    "step, text",
    [
        (Tokenize(file="t", gives="ids", max_length=2), "max_length is 2, 2 tokens are put around each text"),
        (Tokenize(file="t", gives="ids", max_length=9, pad=9999), "pad is 9999, the tokenizer has no token of that id"),
    ],
)
def test_steps_that_the_tokenizer_cannot_take(tokenizer: Tokenizer, step: Tokenize, text: str) -> None:
    """They are named before any text comes."""
    with pytest.raises(ArtifactError, match=f'^here: transforms: input "ids": {text}'):
        check_tokenizer(tokenizer, {"ids": (step,)}, source="here")


def test_ids_with_gaps_between_them() -> None:
    """What is filled up with is a token, wherever it lies."""
    vocabulary = {"[UNK]": 0, "a": 1, "[PAD]": 7}
    sparse = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    check_tokenizer(sparse, {"ids": (Tokenize(file="t", gives="ids", max_length=9, pad=7),)}, source="here")
    with pytest.raises(ArtifactError, match="pad is 2, the tokenizer has no token of that id"):
        check_tokenizer(sparse, {"ids": (Tokenize(file="t", gives="ids", max_length=9, pad=2),)}, source="here")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"model": {"type": "BPE", "vocab": {}, "merges": ["a b"]}}'])
def test_what_is_no_tokenizer(content: str) -> None:
    """It is refused, and named."""
    with pytest.raises(ArtifactError, match=r"^here: isn't a tokenizer: "):
        load_tokenizer(content, source="here")


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_text_or_none(tokenizer: Tokenizer, content: bytes) -> None:
    """Nothing but TextError comes of what is none, and what is one fits."""
    try:
        made = text_tensors(content, {"short": (IDS,)}, tokenizer)
    except TextError:
        with pytest.raises(UnicodeDecodeError):
            content.decode()
    else:
        assert (8,) == made["short"].shape
