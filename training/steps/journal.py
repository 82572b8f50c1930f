"""What the steps of one run share: the recipe, what is done already, the screen, and the times for the report."""

import fcntl
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Generic, Self

from rich.console import Console
from typing_extensions import TypeVar

from training.cache import Cache, Step
from training.errors import Damaged, TrainingError
from training.machine import machine
from training.recipe import AnyRecipe, Recipe

R = TypeVar("R", bound=AnyRecipe, default=Recipe)


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """How long a step took, in seconds, and whether its output was there already."""

    seconds: float
    cached: bool


class Journal(Generic[R]):
    """One run of `recipe` in the folder `runs/<recipe>/<profile>`, and the only one there while it is entered.

    `retrain` allows a step whose files were damaged to be done again; otherwise the run stops there.
    """

    def __init__(self, recipe: R, runs: Path, console: Console, *, retrain: bool = False) -> None:
        self.recipe = recipe
        self.console = console
        self.folder = runs / recipe.name / recipe.profile
        self.times: dict[str, StepTime] = {}
        self._cache = Cache(self.folder)
        self._retrain = retrain
        self._held = ExitStack()

    def __enter__(self) -> Self:
        """Raises TrainingError if another run is at work in the folder: they would mix their networks."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        self._held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._held.close()
            text = f"another run is at work in {self.folder}; wait for it, or name another folder with --runs"
            raise TrainingError(text) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def path(self, step: str, file: str) -> Path:
        """Where `step` keeps `file`."""
        return self._cache.path(step, file)

    def do(
        self,
        name: str,
        inputs: Mapping[str, Any],
        code: Sequence[ModuleType],
        action: Callable[[Path], None],
        result: Callable[[], str],
    ) -> None:
        """Have the step `name` done by `action`, unless its inputs and code are those of the last time; say so.

        Raises what `action` raises, and Damaged, which names the file.
        """
        start = time.perf_counter()
        step = Step(name=name, inputs=inputs, code=code, versions=machine().versions)
        try:
            cached = self._cache.do(step, action)
        except Damaged:
            if not self._retrain:
                raise
            self._cache.discard(name)
            cached = self._cache.do(step, action)
        self.note(name, start, cached=cached, result=result())

    def warn(self, text: str) -> None:
        """Show what isn't as it was asked for, but is no reason to stop."""
        self.console.print(f"  {text}", style="yellow", highlight=False, soft_wrap=True)

    def note(self, name: str, start: float, *, cached: bool, result: str) -> None:
        """Keep the time since `start` (of time.perf_counter) and show what the step came to."""
        seconds = time.perf_counter() - start
        self.times[name] = StepTime(seconds=seconds, cached=cached)
        state = "unchanged" if cached else f"{seconds:.1f} s"
        self.console.print(f"  {name:<15}{state:>10}   {result}", highlight=False, soft_wrap=True)
