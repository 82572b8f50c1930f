"""Which problems there are, by the names that recipes have for them."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from service.errors import SettingsError
from training.suggestion import suggestion

PROBLEMS: Mapping[str, str] = {
    "adversarial_generation": "AdversarialGeneration",
    "anomaly": "Anomaly",
    "classification": "Classification",
    "detection": "Detection",
    "forecasting": "Forecasting",
    "generation": "Generation",
    "regression": "Regression",
    "retrieval": "Retrieval",
    "segmentation": "Segmentation",
    "tagging": "Tagging",
}
"""Each problem, which is the name of a module beside this one, with its class there."""


def problem_of(name: str) -> type[Any]:
    """The class of a problem. Raises SettingsError that names those there are."""
    if name not in PROBLEMS:
        raise SettingsError(f"no problem `{name}`{suggestion(name, PROBLEMS)}")
    found: type[Any] = getattr(import_module(f"{__package__}.{name}"), PROBLEMS[name])
    return found
