"""Whether the models of an ensemble fit together, and how a tensor is shaped for who takes it."""

from typing import Any

import numpy as np
import pytest

from service.engine.ensemble.wiring import wire, wires_out
from service.errors import ArtifactError
from service.messages import Tensor
from tests.engine.ensemble.doubles import Shelf, StepModel, Tensors, config, ensemble, model, request, step


def same(x: Any) -> dict[str, Any]:
    return {"y": x}


TWO = (step("a", "x=in", "y=t"), step("b", "x=t", "y=out"))


@pytest.mark.parametrize(
    "first, second, words",
    [
        (
            {"outputs": "y:INT64:3"},
            {},
            'tensor "t" is INT64 as output "y" of step 1 (model "a"), but FP32 as input "x" of step 2 (model "b")',
        ),
        (
            {"outputs": "y:FP32:4"},
            {},
            'tensor "t" has shape [-1, 4] as output "y" of step 1 (model "a"), but [-1, 3] as input "x" of step 2',
        ),
        (
            {"inputs": "x:FP32:3,1"},
            {},
            'tensor "in" has shape [-1, 3] as input "in" of the ensemble, but [-1, 3, 1] as input "x" of step 1',
        ),
        (
            {},
            {"outputs": "y:FP64:3"},
            'tensor "out" is FP64 as output "y" of step 2 (model "b"), but FP32 as output "out" of the ensemble',
        ),
        ({"batch": 4}, {}, "step 1 (model \"a\"): the model's max_batch_size is 4, the ensemble's 8"),
        ({"inputs": "z:FP32:3"}, {}, 'step 1 (model "a"): the model has no input "x"'),
        ({"inputs": "x1:FP32:3"}, {}, 'the model has no input "x", did you mean "x1"?'),
        ({"outputs": "z:FP32:3"}, {}, 'step 1 (model "a"): the model has no output "y"'),
        (
            {},
            {"inputs": "x:FP32:3 z:FP32:3"},
            'step 2 (model "b"): input "z" of the model is in no input_map',
        ),
        ({"batch": 0, "outputs": "y:FP32:3,4"}, {}, 'tensor "t" has shape [3, 4] as output "y" of step 1'),
    ],
)
def test_what_does_not_fit_is_named(first: Any, second: Any, words: str) -> None:
    """The step with its model, the tensor, and what both sides say of it."""
    models = model("a", same, **first), model("b", same, **second)
    with pytest.raises(ArtifactError) as caught:
        wire(config(*TWO), [one.config for one in models])

    assert words in str(caught.value)
    assert str(caught.value).startswith("e/config.pbtxt: ensemble_scheduling: ")


@pytest.mark.parametrize(
    "first, second",
    [
        ({"outputs": "y:FP32:-1"}, {}),
        ({"batch": 64}, {}),
        ({"batch": 0, "inputs": "x:FP32:-1,3", "outputs": "y:FP32:-1,3"}, {}),
        ({}, {"batch": 0, "inputs": "x:FP32:-1,3", "outputs": "y:FP32:-1,3"}),
        ({}, {"batch": 0}),
    ],
)
def test_what_fits(first: Any, second: Any) -> None:
    """Shapes that vary, larger batches, and models with and without batches where their full shapes agree."""
    models = model("a", same, **first), model("b", same, **second)
    wire(config(*TWO), [one.config for one in models])


def test_masks_may_be_left_out() -> None:
    """What a model makes of ones where it isn't given needs no tensor."""
    length = 'parameters { key: "hone.length.x" value { string_value: "axis=1 buckets=3 mask=z" } }'
    models = model("a", same, inputs="x:FP32:-1 z:INT64:-1", more=length), model("b", same)
    wire(config(*TWO), [one.config for one in models])


@pytest.mark.parametrize(
    "dims, receives, sends, shape, becomes",
    [
        ("3", 8, True, (2, 3), (2, 3)),
        ("3", 8, False, (3,), (1, 3)),
        ("3", 8, False, (5, 3), (5, 3)),
        ("3", 0, True, (1, 3), (3,)),
        ("-1,3", 0, True, (2, 3), (2, 3)),
        ("-1,3", 0, True, (1, 3), (1, 3)),
        ("3", 0, True, (2, 3), (2, 3)),
        ("3", 0, False, (3,), (3,)),
    ],
)
def test_rows_between_models_with_and_without_batches(
    dims: str, receives: int, sends: bool, shape: tuple[int, ...], becomes: tuple[int, ...]
) -> None:
    """A lone tensor becomes a row, and a lone row a tensor, where the receiver's shape asks for it; as in Triton."""
    whole = config(step("a", "x=in", "y=out"), outputs=f"out:FP32:{dims}", batch=receives)
    tensor = Tensor(name="y", datatype="FP32", array=np.zeros(shape, np.float32))
    carried = wires_out(whole)["out"].carry(tensor, batched=sends)

    assert ("out", "FP32", becomes) == (carried.name, carried.datatype, carried.array.shape)


async def test_a_row_goes_through_a_model_without_batches() -> None:
    """And comes back as a row of the ensemble's answer."""
    alone = model("a", lambda x: {"y": x * 2}, batch=0)
    whole = ensemble(config(step("a", "x=in", "y=out")), Shelf(alone))
    await whole.load()
    receiver = Tensors()
    whole.submit(request([1, 2, 3]), receiver)

    assert (3,) == alone.pending[0].request.inputs[0].array.shape
    alone.answer()
    assert [[2.0, 4.0, 6.0]] == receiver.outputs["out"]


@pytest.mark.parametrize("missing", [False, True])
async def test_an_ensemble_that_does_not_fit_is_not_loaded(missing: bool) -> None:
    """Where all models are there the reason is told at the load; where one isn't, it may still come and fit."""
    models: list[StepModel] = [model("a", same, outputs="y:INT64:3"), model("b", same)]
    whole = ensemble(config(*TWO), Shelf(*models[missing:]))
    if missing:
        await whole.load()
        assert 'step 1 (model "a"): no model "a" is served here' == whole.problem
        await whole.stop()
    else:
        with pytest.raises(ArtifactError, match='tensor "t" is INT64'):
            await whole.load()
