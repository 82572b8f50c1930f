"""What more threads do for two variants of a family: both, with each number of threads, side by side in one service."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from training import publish, release, serving, timing
from training.export import INPUT, OUTPUT
from training.graph import tensors_in
from training.model_config import model_config
from training.recipe import Recipe
from training.run import Family


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A model and the threads that its one instance has."""

    model: str
    threads: int

    @property
    def name(self) -> str:
        """The name that it is served under."""
        return f"{self.model}-{self.threads}"


Computed = Mapping[Layout, NDArray[np.float64]]
"""Layout -> seconds that its worker computed for a batch of 1, of each round: [rounds]."""


def measure(
    family: Family, models: Sequence[str], threads: Sequence[int], recipe: Recipe, console: Console
) -> Computed:
    """The worker's time of each of `models`, variants of `family`, with each number of `threads`, interleaved."""
    chosen = {variant.name: variant for variant in family.variants}
    layouts = [Layout(model=model, threads=count) for model in models for count in threads]
    with tempfile.TemporaryDirectory() as scratch:
        for layout in layouts:
            one = release.unmeasured(chosen[layout.model], recipe, family.dataset)
            config = model_config(
                tensors_in(one.model),
                name=layout.name,
                family=one.family,
                variant=one.variant,
                labels=(OUTPUT,),
                threads=layout.threads,
            )
            publish.publish(Path(scratch), replace(one, name=layout.name, config=config))
        with serving.serving(Path(scratch), [layout.name for layout in layouts]) as served:
            timings = timing.time_side_by_side(
                served,
                [layout.name for layout in layouts],
                {INPUT: family.dataset.test.inputs},
                replace(recipe.evaluate, batch_sizes=(1,)),
                console,
            )
    return {layout: timings[layout.name][1].compute for layout in layouts}
