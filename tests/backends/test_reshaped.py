"""A backend behind other shapes than its model's."""

import numpy as np
import pytest

from service.artifact.signature import TensorSpec
from service.backends.backend import Backend, RunError, open_backend
from service.backends.plan import Plan
from service.backends.reshaped import as_clients_see
from tests.integration.served import mlp, reference

X = np.random.default_rng(1).normal(size=(3, 8, 8)).astype(np.float32)


def seen(output: tuple[int, ...] = (10,)) -> Backend:
    """The perceptron [64] -> [10], seen as [8, 8] -> [2, 5]; of its `output` something else may be said."""
    plan = Plan(
        backend="onnxruntime",
        path="",
        max_batch_size=4,
        inputs=(TensorSpec(name="x", datatype="FP32", dims=(8, 8), reshape=(64,)),),
        outputs=(TensorSpec(name="y", datatype="FP32", dims=(2, 5), reshape=output),),
    )
    return as_clients_see(open_backend(plan, mlp()), plan)


def test_the_same_elements_go_in_and_out() -> None:
    """In the shapes that clients see, and without a copy of what goes in."""
    (y,) = seen().run(["x"], [X], ["y"])

    assert (3, 2, 5) == y.shape
    np.testing.assert_allclose(reference(X.reshape(3, 64)).reshape(3, 2, 5), y, rtol=1e-4, atol=1e-4)


def test_what_is_bound_is_the_clients_memory() -> None:
    """What is written there later is computed, and what comes of it is there."""
    x, y = X.copy(), np.zeros((3, 2, 5), np.float32)
    compute = seen().bind(["x"], [x], ["y"], [y])
    assert compute
    for factor in (1, 2):
        x[:] = X * factor
        compute()
        np.testing.assert_allclose(reference(x.reshape(3, 64)).reshape(3, 2, 5), y, rtol=1e-4, atol=1e-4)


def test_an_output_of_another_shape_than_promised() -> None:
    """Is this batch's failure, and named."""
    with pytest.raises(RunError, match=r'"y" can\'t be reshaped: it has shape \[3, 10\], expected \[5, 2\]'):
        seen((5, 2)).run(["x"], [X], ["y"])


def test_nothing_stands_before_a_model_that_needs_it_not() -> None:
    """It is the runtime's own backend."""
    plan = Plan(backend="onnxruntime", path="", inputs=(TensorSpec(name="x", datatype="FP32", dims=(64,)),))
    backend = open_backend(plan, mlp())

    assert backend is as_clients_see(backend, plan)
