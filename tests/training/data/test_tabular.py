"""The bundled tables."""

from typing import Literal

import numpy as np
import pytest

from tests.training.data.parts import assert_apart, assert_array, assert_by_seed, assert_sound, parts
from training.data import tabular
from training.data.tabular import TabularSettings

Name = Literal["breast_cancer", "wine", "diabetes"]


@pytest.mark.parametrize(
    "name, rows, features, classes",
    [("breast_cancer", 569, 30, 2), ("wine", 178, 13, 3), ("diabetes", 442, 10, 0)],
)
def test_tables_have_their_shapes(name: Name, rows: int, features: int, classes: int) -> None:
    """Features float32, labels int64 or values float32, all rows in one of three parts that are apart."""
    settings = TabularSettings(table=name)
    dataset = tabular.load(settings, seed=7)
    assert rows == sum(map(len, parts(dataset)))
    assert classes == len(dataset.classes)
    assert features == len(tabular.features(settings))
    for part in parts(dataset):
        assert_array(part.inputs, np.float32, (len(part), features))
        if classes:
            assert_array(part.targets, np.int64, (len(part),))
            assert set(range(classes)) == set(part.targets)
        else:
            assert_array(part.targets, np.float32, (len(part), 1))
    assert_apart(dataset)
    assert_sound(dataset, tabular.features(settings))


def test_the_seed_decides_the_parts() -> None:
    """And nothing else does."""
    assert_by_seed(lambda seed: tabular.load(TabularSettings(), seed))


def test_features_are_as_measured() -> None:
    """scikit-learn's own scaling of diabetes looks at all rows, those of the test part too; an age is in years here."""
    ages = tabular.load(TabularSettings(table="diabetes"), seed=7).train.inputs[:, 0]
    assert 18 <= ages.min() < ages.max() < 90
