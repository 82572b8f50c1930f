"""What a terminal shows of a fit while it runs."""

import re
from io import StringIO
from pathlib import Path

from rich.console import Console

from tests.training.test_fit import fit
from training.data.split import Dataset


def test_a_terminal_shows_epoch_loss_validation_and_speed(dataset: Dataset, tmp_path: Path) -> None:
    """Steps of all, the epoch and its loss, what validation came to last, examples a second, and the time left."""
    screen = StringIO()
    console = Console(file=screen, force_terminal=True, width=200, color_system=None)
    fit(dataset, tmp_path / "teacher", console, stop_after=3)
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    figures = r"epoch 3/4  loss \d\.\d{3}  validation loss \d\.\d{3}, accuracy \d\.\d{3}  [\d,]+/s"
    assert re.search(rf"teacher .* 9/12 {figures} (\d:\d\d:\d\d|-:--:--)", last)


def test_a_resumed_run_goes_on_in_the_middle(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """The bar begins where the last run ended."""
    fit(dataset, tmp_path / "teacher", quiet, stop_after=3)
    screen = StringIO()
    console = Console(file=screen, force_terminal=True, width=200, color_system=None)
    fit(dataset, tmp_path / "teacher", console)
    shown = {int(steps) for steps in re.findall(r"(\d+)/12 ", screen.getvalue())}
    assert (9, 12) == (min(shown), max(shown))


def test_elsewhere_nothing_is_shown(dataset: Dataset, tmp_path: Path) -> None:
    """A file isn't filled with bars."""
    screen = StringIO()
    fit(dataset, tmp_path, Console(file=screen), stop_after=1)
    assert "" == screen.getvalue()
