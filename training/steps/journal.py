"""What the steps of one run share: the recipe, what is done already, the screen, and the times for the report."""

import copy
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Generic, Protocol, Self, cast

from rich.console import Console
from typing_extensions import TypeVar

from training.cache import Cache, Step
from training.deadline import Deadline
from training.errors import Damaged, TrainingError
from training.machine import machine
from training.optimization.distributed import Ranks
from training.recipe import Recipe

BEGIN = "begin"
SCRATCH = ".scratch"


class Named(Protocol):
    """What a run is of: its folder is called by it."""

    @property
    def name(self) -> str:
        """A recipe's, or a file's."""
        ...

    @property
    def profile(self) -> str:
        """How much is done."""
        ...


R = TypeVar("R", bound=Named, default=Recipe)
Other = TypeVar("Other", bound=Named)


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """How long a step took, in seconds, and whether its output was there already."""

    seconds: float
    cached: bool


class Journal(Generic[R]):
    """One run of `recipe` in the folder `runs/<recipe>/<profile>`, and the only one there while it is entered.

    What is needed for a moment lies there, too, meanwhile: what a run that was killed has left of it is removed by the
    next one.

    `retrain` allows a step whose files were damaged to be done again; otherwise the run stops there. Of the processes
    that torchrun has started, the first does the steps, the others help with those that are shared and wait for the
    rest; all find the files in the same folder.
    """

    def __init__(self, recipe: R, runs: Path, console: Console, *, retrain: bool = False) -> None:
        self.recipe = recipe
        self.console = console
        self.folder = runs / recipe.name / recipe.profile
        self.times: dict[str, StepTime] = {}
        self.deadline = Deadline()
        self._cache = Cache(self.folder)
        self._retrain = retrain
        self._held = ExitStack()
        self._ranks = Ranks()

    def __enter__(self) -> Self:
        """Raises TrainingError if another run is at work in the folder: they would mix their networks."""
        if not self._ranks.leads:
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        self._held.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._held.close()
            text = f"another run is at work in {self.folder}; wait for it, or name another folder with --runs"
            raise TrainingError(text) from error
        self._held.callback(setattr, tempfile, "tempdir", tempfile.tempdir)
        tempfile.tempdir = str(self._scratch())
        return self

    def _scratch(self) -> Path:
        """An empty folder, which is removed in the end."""
        scratch = self.folder.resolve() / SCRATCH
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        self._held.callback(shutil.rmtree, scratch, ignore_errors=True)
        return scratch

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def of(self, recipe: Other) -> "Journal[Other]":
        """The same run, whose further steps go by another `recipe`."""
        same = cast("Journal[Other]", copy.copy(self))
        same.recipe = recipe
        return same

    @contextmanager
    def until(self, deadline: Deadline) -> Iterator[None]:
        """Meanwhile what isn't done already is begun only if the `deadline` leaves time for it."""
        before, self.deadline = self.deadline, deadline
        try:
            yield
        finally:
            self.deadline = before

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
        *,
        shared: bool = False,
        foreseen: float = 0.0,
    ) -> None:
        """Have the step `name` done by `action`, unless its inputs and code are those of the last time; say so.

        If it is `shared`, all processes do it, and only the first may write into its folder. Raises what `action`
        raises, Damaged, which names the file, and TimeUp if the `foreseen` seconds aren't left of a deadline.
        """
        start = time.perf_counter()
        step = Step(name=name, inputs=inputs, code=code, versions=machine().versions)
        lead = self._ranks.leads
        cached = self._lead(step, action, foreseen, shared=shared) if lead else self._follow(name, action)
        self.note(name, start, cached=cached, result=result())

    def _lead(self, step: Step, action: Callable[[Path], None], foreseen: float, *, shared: bool) -> bool:
        def led(folder: Path) -> None:
            if shared:
                self._ranks.say(BEGIN)
            action(folder)

        permit = partial(self.deadline.check, foreseen)
        try:
            cached = self._cache.do(step, led, permit=permit)
        except Damaged:
            if not self._retrain:
                raise
            self._cache.discard(step.name)
            cached = self._cache.do(step, led, permit=permit)
        return bool(self._ranks.say(cached))

    def _follow(self, name: str, action: Callable[[Path], None]) -> bool:
        """Help wherever the first process says that it begins, until it says how that ended."""
        while (said := self._ranks.hear()) == BEGIN:
            action(self._cache.folder(name))
        return bool(said)

    @property
    def spent(self) -> float:
        """Seconds of all steps that this run has come by, when they were done, be it now or before."""
        return sum(self._cache.seconds(name) for name in self.times)

    def seconds(self, step: str) -> float:
        """How long `step` took when it was done."""
        return self._cache.seconds(step)

    def warn(self, text: str) -> None:
        """Show what isn't as it was asked for, but is no reason to stop."""
        self.console.print(f"  {text}", style="yellow", highlight=False, soft_wrap=True)

    def note(self, name: str, start: float, *, cached: bool, result: str) -> None:
        """Keep the time since `start` (of time.perf_counter) and show what the step came to."""
        seconds = time.perf_counter() - start
        self.times[name] = StepTime(seconds=seconds, cached=cached)
        state = "unchanged" if cached else f"{seconds:.1f} s"
        self.console.print(f"  {name:<15}{state:>10}   {result}", highlight=False, soft_wrap=True)
