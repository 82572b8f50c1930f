"""Multiply-accumulates of a file's layers as it stands, beside those of the optimized graph."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.training import odd_graphs
from tests.training.compression.evidence.models import Models, batch
from tests.training.imports.graphs import saved
from training.compression.evidence.execution import execution
from training.compression.evidence.products import products_of


def test_a_recurrence_may_answer_its_last_state_alone(tmp_path: Path) -> None:
    """The first of its outputs has no name then, and two such nodes are still two layers."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["steps"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["steps", "w", "r"], ["", "forth"], hidden_size=8),
        helper.make_node("LSTM", ["steps", "w", "r"], ["", "back"], hidden_size=8, direction="reverse"),
        helper.make_node("Add", ["forth", "back"], ["sum"]),
        helper.make_node("Squeeze", ["sum", "directions"], ["y"]),
    ]
    weights = {"w": odd_graphs.numbers(1, 32, 4), "r": odd_graphs.numbers(1, 32, 8), "directions": np.array([0])}
    path = saved(odd_graphs.model(nodes, [5, 4], [8], weights), tmp_path, "states.onnx")
    asked = {"x": odd_graphs.numbers(3, 5, 4)}
    each = 5 * 3 * 4 * 8 * (4 + 8)
    assert {"forth": each, "back": each} == products_of(path, asked)
    assert 2 * each == execution(path, asked).macs


def test_what_is_behind_an_operator_of_the_runtime_counts(tmp_path: Path) -> None:
    """ONNX knows no shapes behind it: quantized files have such ones, since they were optimized before."""
    nodes = [
        helper.make_node("Gelu", ["x"], ["gelu"], domain="com.microsoft"),
        helper.make_node("Transpose", ["gelu"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["gelu", "turned"], ["y"]),
    ]
    made = odd_graphs.model(nodes, [5, 4], [5, 5], {})
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    asked = {"x": odd_graphs.numbers(3, 5, 4)}
    assert {"y": 3 * 5 * 5 * 4} == products_of(saved(made, tmp_path), asked)


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("name", ["cnn", "encoder", "lstm", "gru", "mlp"])
def test_a_file_multiplies_as_often_as_what_is_made_of_it(models: Models, name: str, rows: int) -> None:
    """In all, at whatever batch."""
    asked = batch(name, rows)
    assert execution(models.path(name), asked).macs == sum(products_of(models.path(name), asked).values())
