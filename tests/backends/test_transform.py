"""The backend that makes tensors of pictures and texts, in this process."""

import json
import resource
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers

from service.artifact.card import Grayscale, Tokenize, ToTensor, Transform
from service.backends.backend import RunError
from service.backends.order import Order
from service.backends.transform import KEPT, TransformBackend
from tests.artifact.test_picturing import RGB, file
from tests.integration.classifier import encode, steps, tokenizer_json

INPUTS = ("order", "content", "tokenizer")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> TransformBackend:
    """Which leaves the memory of this process alone."""
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    return TransformBackend()


def made(backend: TransformBackend, order: Order, content: bytes, tokenizer: str = "") -> tuple[NDArray[Any], Any]:
    """All bytes, and the shapes."""
    parts = (msgspec.json.encode(order), content, tokenizer.encode())
    arrays = [np.frombuffer(part, np.uint8) for part in parts]
    tensors, shapes = backend.run(INPUTS, arrays, ("tensors", "shapes"))
    return tensors, json.loads(shapes.tobytes())


def test_several_tensors_of_one_text(backend: TransformBackend) -> None:
    """One behind the other, in the order of the steps."""
    tensors, shapes = made(backend, Order(transforms=steps(), tokenizer="a"), b"the with statement", tokenizer_json())
    expected = encode("the with statement")

    assert [[expected["input_ids"].size]] * 3 == shapes
    np.testing.assert_array_equal(np.concatenate([row[0] for row in expected.values()]), tensors.view(np.int64))


def test_a_picture_for_two_inputs(backend: TransformBackend) -> None:
    """Each by its own steps."""
    tensor = ToTensor(layout="CHW", datatype="UINT8")
    both: dict[str, tuple[Transform, ...]] = {"grey": (Grayscale(), tensor), "colour": (tensor,)}
    tensors, shapes = made(backend, Order(transforms=both), file(RGB))

    assert [[1, 6, 9], [3, 6, 9]] == shapes
    np.testing.assert_array_equal(RGB.transpose(2, 0, 1).ravel(), tensors[54:])


def test_tokenizers_that_were_used_last_are_kept(backend: TransformBackend) -> None:
    """The others, as all that never came, are to be sent."""
    orders = [Order(transforms=steps(), tokenizer=str(number)) for number in range(KEPT + 1)]
    assert [] == made(backend, orders[0], b"a")[1]
    for order in orders[:KEPT]:
        made(backend, order, b"a", tokenizer_json())
    assert made(backend, orders[0], b"a")[1]
    made(backend, orders[KEPT], b"a", tokenizer_json())

    assert [True, False, *[True] * (KEPT - 1)] == [bool(made(backend, order, b"a")[1]) for order in orders]


@pytest.mark.parametrize("content, text", [(b"\xff", "isn't UTF-8"), (b"a" * 10**6, "send a part of it")])
def test_what_is_no_text(backend: TransformBackend, content: bytes, text: str) -> None:
    """Is this one's failure, and the tokenizer stays."""
    order = Order(transforms=steps(), tokenizer="a")
    with pytest.raises(RunError, match=text):
        made(backend, order, content, tokenizer_json())
    assert made(backend, order, b"a")[1]


def test_a_text_that_the_tokenizer_refuses(backend: TransformBackend) -> None:
    """Is this one's failure too: nobody has to send the tokenizer again, and wait until it is read."""
    words = {word: number for number, word in enumerate(["a", "text", "to", "try", "it", "with"])}
    closed = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    closed.pre_tokenizer = pre_tokenizers.Whitespace()
    order = Order(transforms={"ids": (Tokenize(file="t", gives="ids", max_length=9),)}, tokenizer="a")
    with pytest.raises(RunError, match=r"the text can't be tokenized: .*UNK"):
        made(backend, order, b"another text", closed.to_str())

    assert [[2]] == made(backend, order, b"a text")[1]
