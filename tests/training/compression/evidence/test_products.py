"""Multiply-accumulates of a file's layers by shapes alone, beside those that ran."""

import pytest

from tests.training.compression.evidence.models import Models, batch
from training.compression.evidence.execution import execution
from training.compression.evidence.products import products_of


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("name", ["cnn", "encoder", "lstm", "gru", "mlp"])
def test_what_follows_from_shapes_is_what_ran(models: Models, name: str, rows: int) -> None:
    """In all, at whatever batch."""
    asked = batch(name, rows)
    assert execution(models.path(name), asked).macs == sum(products_of(models.path(name), asked).values())
