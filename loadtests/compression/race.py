"""Who answers how fast: all variants of a model take turns in one process, each as a worker of the service runs it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.compression.variants import VARIANTS, Made, Variant
from loadtests.turns import turned
from service.backends.backend import LoadError, RunError, open_backend
from service.backends.plan import Plan

Answer = Callable[[NDArray[Any]], Sequence[NDArray[Any]]]
Turns = dict[int, list[float]]
"""Seconds of a batch in each round, by the batch's rows."""


def opened(made: Mapping[str, Made], rows: NDArray[Any], threads: int) -> tuple[dict[str, Answer], dict[str, str]]:
    """What computes each variant, by its name, and why others can't; each of them has computed `rows` once."""
    answers, failed = {}, {}
    for one in VARIANTS:
        file = made[one.of]
        if file.failed:
            failed[one.name] = file.failed
            continue
        try:
            answer = _open(one, file, threads)
            answer(rows)
        except (LoadError, RunError) as error:
            failed[one.name] = str(error)
        else:
            answers[one.name] = answer
    return answers, failed


def errors(answers: Mapping[str, Answer], rows: NDArray[Any]) -> dict[str, float]:
    """How far the answers of each are from those of the first: the length of the difference, relative, in L2."""
    found = {name: _flat(answer(rows)) for name, answer in answers.items()}
    expected = next(iter(found.values()))
    return {name: float(np.linalg.norm(one - expected) / np.linalg.norm(expected)) for name, one in found.items()}


def race(
    answers: Mapping[str, Answer], rows: NDArray[Any], batches: Sequence[int], *, rounds: int, seconds: float
) -> dict[str, Turns]:
    """The median seconds of each at every batch size in each round, a turn lasting `seconds` and at least a batch."""
    found: dict[str, Turns] = {name: {size: [] for size in batches} for name in answers}
    for size in batches:
        batch = np.resize(rows, (size, *rows.shape[1:]))
        for number in range(rounds):
            for name in turned(list(answers), number):
                found[name][size].append(_turn(answers[name], batch, seconds))
    return found


def _open(variant: Variant, made: Made, threads: int) -> Answer:
    plan = Plan(
        backend=variant.runtime.backend,
        path=str(made.path),
        precision=variant.runtime.precision,
        intra_op_threads=threads,
    )
    backend = open_backend(plan, made.path.read_bytes())
    inputs = [one.name for one in backend.signature.inputs]
    outputs = [one.name for one in backend.signature.outputs]
    return lambda batch: backend.run(inputs, [batch], outputs)


def _turn(answer: Answer, batch: NDArray[Any], seconds: float) -> float:
    answer(batch)  # what the one before it left in the caches isn't counted
    durations: list[float] = []
    ends = time.perf_counter() + seconds
    while not durations or time.perf_counter() < ends:
        started = time.perf_counter()
        answer(batch)
        durations.append(time.perf_counter() - started)
    return float(np.median(durations))


def _flat(arrays: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """A copy, since a runtime may give its own memory."""
    return np.concatenate([array.astype(np.float64).ravel() for array in arrays])
