"""Three small tables of measurements that scikit-learn bundles: two to classify, one to regress.

breast_cancer: 569 tumours by 30 figures of their cells' nuclei, malignant or benign (Wolberg, Street, Mangasarian,
1995). wine: 178 wines by 13 figures of a chemical analysis, of three growers (Forina et al., 1991). diabetes: 442
patients by age, sex, body and blood, and how far the disease was a year later (Efron et al., "Least Angle Regression",
2004).
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from training.data.material import Material
from training.data.shares import Shares
from training.data.split import Dataset


@dataclass(frozen=True, kw_only=True)
class TabularSettings:
    """Which `table`, and how it is cut."""

    table: Literal["breast_cancer", "wine", "diabetes"] = "breast_cancer"
    shares: Shares = field(default_factory=Shares)


def load(settings: TabularSettings, seed: int) -> Dataset:
    """Features float32 [N, F] as measured, and labels int64 [N], or values float32 [N, 1] of diabetes.

    Tables to classify are cut stratified, diabetes plainly.
    """
    table = _read(settings.table)
    measured = table.data.astype(np.float32)
    classes = () if settings.table == "diabetes" else tuple(str(name) for name in table.target_names)
    targets = table.target.astype(np.int64) if classes else table.target.astype(np.float32)[:, None]
    return settings.shares.assemble([(measured, targets)], classes=classes, seed=seed)


def material(settings: TabularSettings, seed: int) -> Material:
    """The table for a recipe."""
    return Material(dataset=load(settings, seed), features=features(settings))


def features(settings: TabularSettings) -> tuple[str, ...]:
    """The names of the F columns."""
    return tuple(map(str, _read(settings.table).feature_names))


def _read(table: str) -> Any:
    match table:
        case "breast_cancer":
            return load_breast_cancer()
        case "wine":
            return load_wine()
        case _:
            return load_diabetes(scaled=False)  # scaled by all rows, a table would tell of those that are held out
