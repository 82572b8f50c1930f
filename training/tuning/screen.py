"""A search on the screen: a bar while it runs, a line for each trial, and the best of them at the end."""

from rich.console import Console

from training.progress import Bar
from training.table import framed, print_whole
from training.tuning.trial import Trial
from training.tuning.tuned import Tuned, shown

MOST_ROWS = 8


class TuneProgress:
    """A search on its bar, with the best so far, and a line for each trial, also on what is no terminal."""

    def __init__(self, shown: Bar, *, watch: str) -> None:
        self._shown = shown
        self._watch = watch
        self._best = ""

    def epoch(self, trial: int, epoch: int, value: float) -> None:
        """Show what `epoch` of `trial`, both counted from 1, came to."""
        self._shown.note(f"trial {trial}, epoch {epoch}: {self._watch} {value:.4g}{self._best}")

    def best(self, trial: Trial) -> None:
        """Show the best so far, from now on."""
        self._best = f"  best {trial.value:.4g} (trial {trial.number})"

    def trial(self, trial: Trial) -> None:
        """Tell a trial that has ended."""
        self._shown.advance()
        values = ", ".join(f"{key} {shown(value)}" for key, value in trial.values.items())
        came_to = "-" if trial.value is None else f"{self._watch} {trial.value:.4g}"
        state = {"finished": "", "pruned": f", given up at epoch {trial.epochs}", "failed": f", failed: {trial.note}"}
        line = f"  {f'trial {trial.number}':<15}{f'{trial.seconds:.1f} s':>10}   "
        line += f"{came_to}{state[trial.state]}  ({values})"
        self._shown.console.print(line, highlight=False, soft_wrap=True)


def print_tuned(tuned: Tuned, console: Console) -> None:
    """The best trials side by side, what was decisive, and what to do with the best."""
    keys = list(tuned.best.values)
    table = framed(
        f"{tuned.about} ({tuned.profile})", (f"validation {tuned.watch}", "epochs", "s", *keys), first="trial"
    )
    for one in tuned.ranked()[:MOST_ROWS]:
        value = "-" if one.value is None else f"{one.value:.4g}"
        state = "" if one.state == "finished" else f" {one.state}"
        style = "bold" if one.number == tuned.best.number else ""
        told = (value, str(one.epochs), f"{one.seconds:.1f}", *(shown(one.values.get(key)) for key in keys))
        table.add_row(f"{one.number}{state}", *told, style=style)
    counted = [sum(one.state == state for one in tuned.trials) for state in ("finished", "pruned", "failed")]
    table.caption = "of {} trials: {} finished, {} given up, {} failed".format(len(tuned.trials), *counted)
    print_whole(table, console)
    ended = {"done": "", "up": "the time was up; ", "interrupted": "interrupted; "}[tuned.ended]
    lines = [f"  {ended}best is trial {tuned.best.number}: validation {tuned.watch} {tuned.best.value:.4g}"]
    if tuned.importance:
        told_of = ", ".join(f"{key} {share:.0%}" for key, share in tuned.importance.items())
        lines.append(f"  what decides: {told_of}")
    for line in (*lines, f"  {tuned.page}", f"  {tuned.command}"):
        console.print(line, highlight=False, soft_wrap=True)
