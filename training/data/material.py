"""What a source gives a recipe: the dataset, and what goes with it to whoever serves the network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from service.artifact.card import Transform
from training.data.checks import Finding
from training.data.split import Dataset


@dataclass(frozen=True, kw_only=True)
class Material:
    """A `dataset`; `features` are the names of its columns, `findings` what its source found while reading.

    `vocabulary` is how many tokens there are where inputs are ids. `steps` turn a picture or a text of somebody's into
    an input, and `files` are what they need beside the model, by name. `classifier` is the checkpoint of a network that
    tells the images' classes apart, where images are judged by what it sees in them.
    """

    dataset: Dataset
    features: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    vocabulary: int = 0
    steps: tuple[Transform, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    classifier: Path | None = None
