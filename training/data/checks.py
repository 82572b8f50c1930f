"""What can be told of a dataset before it is trained on: errors, which stop it, and warnings, which are told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from service.errors import SettingsError
from training.data.duplicates import fingerprints
from training.data.split import NO_BOX, NO_TAG, Array, Dataset, Split

MOST_NAMED = 10
"""Names that a text lists."""
UNBALANCED = 10
"""A class that another one has this many times is worth a word."""
FEW_VALUES = 10
LEAST_TIMES = 5
"""Whole numbers as targets may be classes if there are so few of them, each so many times on average."""


class Severity(StrEnum):
    """What becomes of a finding: an error stops the run."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was found; `text` names part, row and column, as far as there are."""

    severity: Severity
    text: str


def check(dataset: Dataset, features: Sequence[str] = (), *, every_class: bool = True) -> tuple[Finding, ...]:
    """All findings, errors first. `features` are the names of the columns of inputs float32 [N, F] or [N, T, F].

    `every_class` says that training should have something of each class, which isn't so where others are to be found.
    """
    if empty := [name for name, part in _parts(dataset) if not len(part)]:
        return tuple(_error(f"{name}: the part is empty") for name in empty)
    found = [
        *_not_finite(dataset, features),
        *_out_of_range(dataset),
        *_leaks(dataset),
        *_contradictions(dataset.train),
        *_imbalance(dataset, every_class=every_class),
        *_few_values(dataset.train),
        *_constants(dataset.train, features),
    ]
    return tuple(sorted(found, key=lambda finding: finding.severity))


def refuse_errors(findings: Sequence[Finding]) -> None:
    """Raises SettingsError with all errors among the findings, if there are any."""
    errors = [finding.text for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        raise SettingsError("the data can't be trained on: " + "; ".join(errors))


def warning(text: str) -> Finding:
    """What is told and doesn't stop anything."""
    return Finding(severity=Severity.WARNING, text=text)


def listed(names: Sequence[str]) -> str:
    """The first of many names, and how many there are besides."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _error(text: str) -> Finding:
    return Finding(severity=Severity.ERROR, text=text)


def _parts(dataset: Dataset) -> tuple[tuple[str, Split], ...]:
    return ("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test)


def _not_finite(dataset: Dataset, features: Sequence[str]) -> Iterator[Finding]:
    """Numbers that are missing or infinite, as inputs or targets."""
    for name, part in _parts(dataset):
        for what, values, names in (("input", part.inputs, features), ("target", part.targets, ())):
            if not np.issubdtype(values.dtype, np.floating):
                continue
            missing = np.argwhere(~np.isfinite(values))
            if len(missing):
                first = tuple(missing[0])
                yield _error(
                    f"{name}: {len(missing)} {what} values are missing or infinite, the first in row {first[0] + 1},"
                    f" column {_column(int(first[-1]), names)} ({values[first]})"
                )


def _out_of_range(dataset: Dataset) -> Iterator[Finding]:
    """Labels, tags, pixels of masks and classes of boxes that are none of the dataset's classes."""
    classes = len(dataset.classes)
    for name, part in _parts(dataset):
        if (labels := _labels(part, dataset.classes)) is None:
            continue
        nothing = {1: None, 2: NO_TAG}.get(part.targets.ndim)
        if _boxes(part):
            nothing = NO_BOX
        wrong = (labels < 0) | (labels >= classes) | (labels != np.floor(labels))
        if nothing is not None:
            wrong &= labels != nothing
        if len(places := np.argwhere(wrong)):
            first = tuple(places[0])
            yield _error(
                f"{name}: {len(places)} labels are outside 0 to {classes - 1}, the first in row {first[0] + 1}"
                f" ({labels[first]:g})"
            )
        if _boxes(part):
            yield from _inside_out(name, part)
            yield from _outside(name, part)


def _inside_out(name: str, part: Split) -> Iterator[Finding]:
    """Boxes without an inside."""
    real = part.targets[..., 0] != NO_BOX
    flat = (part.targets[..., 3] <= part.targets[..., 1]) | (part.targets[..., 4] <= part.targets[..., 2])
    rows = np.flatnonzero((real & flat).any(axis=1))
    if len(rows):
        yield _error(
            f"{name}: boxes need x0 < x1 and y0 < y1; {len(rows)} rows have others, the first is {rows[0] + 1}"
        )


def _outside(name: str, part: Split) -> Iterator[Finding]:
    """Boxes that go beyond their picture, of which a network can't see all."""
    if part.inputs.ndim != 4:
        return
    height, width = part.inputs.shape[-2:]
    real = part.targets[..., 0] != NO_BOX
    beyond = (part.targets[..., 1:3] < 0).any(axis=-1)
    beyond |= (part.targets[..., 3] > width) | (part.targets[..., 4] > height)
    rows = np.flatnonzero((real & beyond).any(axis=1))
    if len(rows):
        yield warning(
            f"{name}: boxes of {len(rows)} rows go beyond {width} x {height} pixels, first in row {rows[0] + 1}"
        )


def _leaks(dataset: Dataset) -> Iterator[Finding]:
    """What is in two parts, by its source; what only looks so may be two things that are alike in all that is told."""
    parts = [(name, part, fingerprints(part.inputs)) for name, part in _parts(dataset)]
    for index, (later, part, prints) in enumerate(parts):
        for earlier, other, known in parts[:index]:
            shared = np.isin(part.sources, other.sources)
            if shared.any():
                yield _error(
                    f"{later}: {shared.sum()} inputs are in {earlier} too, the first is row {shared.argmax() + 1}:"
                    " leave each in one part"
                )
            seen = set(known)
            same = [row for row, one in enumerate(prints) if one in seen and not shared[row]]
            if same:
                yield warning(
                    f"{later}: {len(same)} inputs look the same as others in {earlier}, the first is row {same[0] + 1}"
                )


def _contradictions(train: Split) -> Iterator[Finding]:
    """Inputs that are there twice, and those of them for which different things are wanted."""
    prints = fingerprints(train.inputs)
    wanted: dict[bytes, set[bytes]] = {}
    for one, target in zip(prints, fingerprints(train.targets), strict=True):
        wanted.setdefault(one, set()).add(target)
    if repeated := len(prints) - len(wanted):
        yield warning(f"train: {repeated} of {len(prints)} inputs repeat another")
    if contradictory := sum(len(targets) > 1 for targets in wanted.values()):
        yield warning(f"train: {contradictory} inputs are there with different targets")


def _imbalance(dataset: Dataset, *, every_class: bool) -> Iterator[Finding]:
    """Classes of labels or tags that are rare or missing."""
    if (labels := _labels(dataset.train, dataset.classes)) is None:
        return
    classes = len(dataset.classes)
    counts = np.bincount(labels[(labels >= 0) & (labels < classes)].astype(np.int64), minlength=classes).tolist()
    missing = [name for name, count in zip(dataset.classes, counts, strict=True) if not count]
    if missing and every_class:
        yield warning(f"train: has nothing of {listed(missing)}")
    if present := {name: count for name, count in zip(dataset.classes, counts, strict=True) if count}:
        rarest, commonest = min(present, key=lambda name: present[name]), max(present, key=lambda name: present[name])
        if present[commonest] >= UNBALANCED * present[rarest]:
            yield warning(
                f"train: {commonest} is there {present[commonest]} times, {rarest} {present[rarest]} times: weigh"
                " classes, and judge by more than accuracy"
            )


def _few_values(train: Split) -> Iterator[Finding]:
    """Values to be foretold that look like the numbers of classes."""
    values = train.targets
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
        return
    for column, wanted in enumerate(values.T):
        known = np.unique(wanted)
        if (
            2 <= len(known) <= FEW_VALUES
            and (known == np.floor(known)).all()
            and len(known) * LEAST_TIMES <= len(wanted)
        ):
            yield warning(
                f"train: value {column + 1} is one of the whole numbers {', '.join(f'{one:g}' for one in known)}; if"
                " they stand for classes, make them labels, and classification the problem"
            )
            return


def _constants(train: Split, features: Sequence[str]) -> Iterator[Finding]:
    """Columns that say nothing."""
    if not np.issubdtype(train.inputs.dtype, np.floating):
        return
    rows = train.inputs.reshape(-1, train.inputs.shape[-1])
    constant = [_column(int(index), features) for index in np.flatnonzero((rows == rows[0]).all(axis=0))]
    if constant:
        yield warning(f"train: always the same: column {listed(constant)}")


def _labels(part: Split, classes: Sequence[str]) -> Array | None:
    """The class numbers in the targets, of any shape; None where targets have no classes."""
    if not classes:
        return None
    if _boxes(part):
        return part.targets[..., 0]
    return part.targets if np.issubdtype(part.targets.dtype, np.integer) else None


def _boxes(part: Split) -> bool:
    return part.targets.ndim == 3 and part.targets.shape[-1] == 5 and part.targets.dtype == np.float32


def _column(index: int, names: Sequence[str]) -> str:
    """Its number, counted from 1, and its name if it has one."""
    return f"{index + 1} (`{names[index]}`)" if names else str(index + 1)
