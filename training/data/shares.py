"""How much of a dataset is held out, and which of it: whole sources, so that no part tells of another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.errors import SettingsError
from training.data.duplicates import common_sources, fingerprints
from training.data.split import Array, Dataset, Labels, Sources, Split, stratify

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Shares:
    """`validation` and `test` are shares of all sources; what they leave is trained on."""

    validation: float = 0.15
    test: float = 0.25

    def __post_init__(self) -> None:
        if min(self.validation, self.test) < 0.02 or self.validation + self.test > 0.9:
            raise ValueError("validation, test: must be at least 0.02, and leave a tenth to train on")

    def positions(self, sources: Sources, strata: Labels, seed: int) -> tuple[NDArray[np.int64], ...]:
        """Positions of the training, validation and test part, each sorted; a source is in one part only.

        The parts have the proportions that the whole has of `strata` int64 [N], as far as sources allow: one counts as
        what it is first. Raises SettingsError where a part would be empty.
        """
        known, first, member = np.unique(sources, return_index=True, return_inverse=True)
        test, validation, train = stratify(strata[first], (self.test, self.validation), seed)
        parts = tuple(np.flatnonzero(np.isin(member, part)) for part in (train, validation, test))
        if not all(map(len, parts)):
            raise SettingsError(f"{len(known)} different inputs are too few to train, validate and test on")
        return parts

    def cut(self, whole: Split, *, classes: tuple[str, ...], seed: int) -> Dataset:
        """`whole` in three parts that share no source; stratified by class where the targets are labels int64 [N]."""
        labelled = bool(classes) and whole.targets.ndim == 1
        strata = whole.targets if labelled else np.zeros(len(whole), dtype=np.int64)
        train, validation, test = self.positions(whole.sources, strata, seed)
        return Dataset(
            train=whole.take(train), validation=whole.take(validation), test=whole.take(test), classes=classes
        )

    def assemble(self, parts: Sequence[tuple[Array, Array]], *, classes: tuple[str, ...], seed: int) -> Dataset:
        """Inputs and targets of somebody's own: one part is cut, three of them are taken as `PARTS`.

        Inputs that are the same are of one source, so a cut keeps them together; in parts of their own they aren't.
        """
        sources = common_sources(*(fingerprints(inputs) for inputs, _ in parts))
        splits = [
            Split(inputs=inputs, targets=targets, sources=seen)
            for (inputs, targets), seen in zip(parts, sources, strict=True)
        ]
        if len(splits) == 1:
            return self.cut(splits[0], classes=classes, seed=seed)
        train, validation, test = splits
        return Dataset(train=train, validation=validation, test=test, classes=classes)
