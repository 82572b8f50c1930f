"""What is under way on the screen: a bar, and a fit on it with epoch, loss, validation, speed, and the time left."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TaskID, TextColumn

from training.optimization.tally import Tally


class Bar:
    """One bar of a `progress`, with a note beside it."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    @property
    def console(self) -> Console:
        """Where lines above the bar are printed."""
        return self._progress.console

    def advance(self) -> None:
        """Go one further."""
        self._progress.advance(self._task)

    def note(self, text: str, *, advance: int = 0) -> None:
        """Show this beside the bar from now on, and go so far."""
        self._progress.update(self._task, advance=advance, note=text)


@contextmanager
def bar(console: Console, name: str, *, total: int, done: int, time: ProgressColumn) -> Iterator[Bar]:
    """A bar that is there as long as the context is; on what is no terminal, nothing.

    What was `done` before isn't progress: the time left would be guessed by it.
    """
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        time,
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task(name, total=total, completed=done, note=""))


class FitProgress:
    """A fit of so many `epochs` on its bar."""

    def __init__(self, shown: Bar, *, epochs: int) -> None:
        self._shown = shown
        self._epochs = epochs
        self._validation = ""

    def step(self, epoch: int, tally: Tally) -> None:
        """Show a step of `epoch`, counted from 0, and what the epoch has come to so far."""
        note = f"epoch {epoch + 1}/{self._epochs}  loss {tally.loss:.3f}{self._validation}"
        self._shown.note(f"{note}  {tally.examples_per_second:,.0f}/s", advance=1)

    def epoch(self, validation: Mapping[str, float]) -> None:
        """Show what validation came to, from now on."""
        self._validation = "  validation " + ", ".join(f"{name} {value:.3f}" for name, value in validation.items())
