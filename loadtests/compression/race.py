"""Who answers how fast: all variants of a model take turns in one process, each as a worker of the service runs it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from loadtests.compression.variants import VARIANTS, Made
from loadtests.turns import turned
from service.backends.backend import Backend, LoadError, RunError, open_backend
from service.backends.plan import Plan
from training.runtime import Runtime

Arrays = Sequence[NDArray[Any]]
Answer = Callable[[Arrays], Arrays]
Work = TypeVar("Work")


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """What a call took in a turn: the median by the clock, and the mean of the processor's time, in seconds."""

    seconds: float
    cpu: float


def open_file(path: Path, runtime: Runtime, threads: int) -> Backend:
    """A file as a worker of the service opens it. Raises LoadError."""
    plan = Plan(backend=runtime.backend, path=str(path), precision=runtime.precision, intra_op_threads=threads)
    return open_backend(plan, path.read_bytes())


def answer_of(backend: Backend) -> Answer:
    """All outputs for all inputs, both in the model's order. It raises RunError."""
    inputs = [one.name for one in backend.signature.inputs]
    outputs = [one.name for one in backend.signature.outputs]
    return lambda arrays: backend.run(inputs, arrays, outputs)


def opened(made: Mapping[str, Made], rows: NDArray[Any], threads: int) -> tuple[dict[str, Answer], dict[str, str]]:
    """What computes each variant, by its name, and why others can't; each of them has computed `rows` once."""
    answers, failed = {}, {}
    for one in VARIANTS:
        file = made[one.of]
        if file.failed:
            failed[one.name] = file.failed
            continue
        try:
            answer = answer_of(open_file(file.path, one.runtime, threads))
            answer([rows])
        except (LoadError, RunError) as error:
            failed[one.name] = str(error)
        else:
            answers[one.name] = answer
    return answers, failed


def errors(answers: Mapping[str, Answer], rows: NDArray[Any]) -> dict[str, float]:
    """How far the answers of each are from those of the first: the length of the difference, relative, in L2."""
    found = {name: _flat(answer([rows])) for name, answer in answers.items()}
    expected = next(iter(found.values()))
    return {name: float(np.linalg.norm(one - expected) / np.linalg.norm(expected)) for name, one in found.items()}


def batched(
    answers: Mapping[str, Answer], rows: Arrays, batches: Sequence[int]
) -> dict[str, dict[int, Callable[[], object]]]:
    """The work of answering so many `rows` [N, ...] of every input at once, for `race`."""
    work = {size: [np.resize(array, (size, *array.shape[1:])) for array in rows] for size in batches}
    return {name: {size: partial(answer, arrays) for size, arrays in work.items()} for name, answer in answers.items()}


def race(
    calls: Mapping[str, Mapping[Work, Callable[[], object]]], *, rounds: int, seconds: float
) -> dict[str, dict[Work, list[Turn]]]:
    """What each took for every work in each round, a turn lasting `seconds` and at least a call.

    All have the same works.
    """
    found: dict[str, dict[Work, list[Turn]]] = {name: {work: [] for work in own} for name, own in calls.items()}
    for work in next(iter(calls.values()), {}):
        for number in range(rounds):
            for name in turned(list(calls), number):
                found[name][work].append(_turn(calls[name][work], seconds))
    return found


def _turn(call: Callable[[], object], seconds: float) -> Turn:
    call()  # what the one before it left in the caches isn't counted
    durations: list[float] = []
    cpu, ends = time.process_time(), time.perf_counter() + seconds
    while not durations or time.perf_counter() < ends:
        started = time.perf_counter()
        call()
        durations.append(time.perf_counter() - started)
    return Turn(seconds=float(np.median(durations)), cpu=(time.process_time() - cpu) / len(durations))


def _flat(arrays: Arrays) -> NDArray[np.float64]:
    """A copy, since a runtime may give its own memory."""
    return np.concatenate([array.astype(np.float64).ravel() for array in arrays])
