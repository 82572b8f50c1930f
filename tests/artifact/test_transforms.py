"""Whether what a card makes of pictures and texts fits its model."""

from typing import Any

import pytest

from service.artifact.card import Grayscale, Resize, Tokenize, ToTensor, Transforms
from service.artifact.lengths import Length
from service.artifact.signature import TensorSpec
from service.artifact.transforms import check_transforms, tokenizer_file
from service.errors import ArtifactError

CHW = ToTensor(layout="CHW", datatype="UINT8")
SMALL = Resize(height=8, width=6, filter="area")


def spec(name: str, datatype: str, *dims: int) -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, dims=dims)


def ids(**changes: Any) -> Tokenize:
    said = {"file": "tokenizer.json", "gives": "ids", "max_length": 16, **changes}
    return Tokenize(**said)


def problem(transforms: Transforms, *inputs: TensorSpec, batched: bool = True) -> str:
    """What is wrong; empty where nothing is."""
    try:
        check_transforms(transforms, inputs, (), batched=batched, source="card")
    except ArtifactError as error:
        return str(error).removeprefix("card: transforms: ")
    return ""


@pytest.mark.parametrize(
    "transforms, inputs, batched",
    [
        ({}, [spec("x", "FP32", 4)], True),
        ({"x": (Grayscale(), SMALL, CHW)}, [spec("x", "UINT8", 1, 8, 6)], True),
        ({"x": (Grayscale(), SMALL, CHW)}, [spec("x", "UINT8", 1, 1, 8, 6)], False),
        ({"x": (SMALL, CHW)}, [spec("x", "UINT8", 3, -1, -1)], True),
        ({"x": (ToTensor(layout="HWC", datatype="FP32"),)}, [spec("x", "FP32", 9, -1, 3)], True),
        ({"x": (ids(),)}, [spec("x", "INT64", -1)], True),
        ({"x": (ids(),)}, [spec("x", "INT64", -1, -1)], False),
        ({"x": (ids(pad=0),)}, [spec("x", "INT64", 16)], True),
        ({"x": (ids(pad=0),), "y": (ids(gives="type_ids"),)}, [spec("y", "INT64", -1), spec("x", "INT64", -1)], True),
    ],
)
def test_what_fits(transforms: Transforms, inputs: list[TensorSpec], *, batched: bool) -> None:
    """A batch of one may be the model's own axis; what depends on a picture may fit."""
    assert "" == problem(transforms, *inputs, batched=batched)


@pytest.mark.parametrize(
    "transforms, inputs, text",
    [
        ({"z": (ids(),)}, [spec("x", "INT64", -1)], 'the model has no input "z"'),
        (
            {"x": (ids(),)},
            [spec("x", "INT64", -1), spec("y", "INT64", -1)],
            'nothing makes input "y": say how, or leave transforms empty',
        ),
        (
            {"x": (ids(),), "y": (ids(file="other.json"),)},
            [spec("x", "INT64", -1), spec("y", "INT64", -1)],
            "the inputs aren't made of one picture, or of one text by one file",
        ),
        (
            {"x": (ids(),), "y": (CHW,)},
            [spec("x", "INT64", -1), spec("y", "UINT8", 3, 8, 6)],
            "the inputs aren't made of one picture, or of one text by one file",
        ),
        ({"x": (ids(), CHW)}, [spec("x", "INT64", -1)], 'input "x": tokenize must be its only step'),
        ({"x": (SMALL,)}, [spec("x", "UINT8", 1, 8, 6)], 'input "x": the last step must be a tensor, and the only one'),
        ({"x": ()}, [spec("x", "UINT8", 1, 8, 6)], 'input "x": the last step must be a tensor, and the only one'),
        (
            {"x": (CHW, SMALL, CHW)},
            [spec("x", "UINT8", 1, 8, 6)],
            'input "x": the last step must be a tensor, and the only one',
        ),
        ({"x": (ids(),)}, [spec("x", "INT32", -1)], 'input "x": is made as INT64, the model takes INT32'),
        (
            {"x": (ids(),)},
            [spec("x", "INT64", 16)],
            'input "x": has 16 tokens whatever the text: set max_length to that, and pad',
        ),
        ({"x": (ids(pad=0),)}, [spec("x", "INT64", 8)], 'input "x": is made of shape [16], the model takes [8]'),
        ({"x": (ids(),)}, [spec("x", "INT64", -1, 1)], 'input "x": is made of shape [-1], the model takes [-1, 1]'),
        (
            {"x": (Grayscale(), SMALL, CHW)},
            [spec("x", "UINT8", 3, 8, 6)],
            'input "x": is made of shape [1, 8, 6], the model takes [3, 8, 6]',
        ),
    ],
)
def test_what_does_not(transforms: Transforms, inputs: list[TensorSpec], text: str) -> None:
    """The input is named, what is made, and what the model takes."""
    assert text == problem(transforms, *inputs)


def test_a_text_is_cut_before_it_is_too_long_for_its_buckets() -> None:
    """Else the model would refuse it."""
    inputs, lengths = [spec("x", "INT64", -1)], (Length(input="x", axis=1, buckets=(4, 8)),)
    check_transforms({"x": (ids(max_length=8),)}, inputs, lengths, batched=True, source="card")
    with pytest.raises(ArtifactError, match=r"max_length is 16, the largest bucket of hone\.length\.x is 8"):
        check_transforms({"x": (ids(),)}, inputs, lengths, batched=True, source="card")


def test_the_file_of_a_text() -> None:
    """Pictures have none."""
    assert "tokenizer.json" == tokenizer_file({"x": (ids(),)})
    assert "" == tokenizer_file({"x": (SMALL, CHW)})
