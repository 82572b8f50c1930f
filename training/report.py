"""What a run came to: figures, decisions and circumstances, as data (report.json) and as a page (report.html)."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from service.artifact.card import Machine
from training.evaluate import Measured
from training.fitted import Fitted
from training.publish import Published
from training.recipe import Recipe
from training.statistics import Share
from training.steps.learning import Facts
from training.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything a run measured and decided, and what it was measured on.

    `fits` tells how each fit went, by its step. `networks` describes the trained networks by variant (`teacher`),
    `variants` holds the figures of the published models by name (`digits-teacher`): one more than there are networks,
    because an INT8 model is no network of its own. `baselines` are what has to be beaten, on the same images.
    """

    recipe: Recipe
    fits: Mapping[str, Fitted]
    networks: Mapping[str, Facts]
    variants: Mapping[str, Measured]
    baselines: Mapping[str, Share]
    verdict: Verdict
    machine: Machine
    commit: str | None
    published: tuple[Published, ...] = ()

    def to_json(self) -> bytes:
        """The report as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"
