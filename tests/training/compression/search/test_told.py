"""What the terminal says of a trial."""

from io import StringIO

import pytest
from rich.console import Console

from training.compression.search.budget import Budget
from training.compression.search.design import Design
from training.compression.search.made import Made
from training.compression.search.trial import Trial
from training.compression_table import print_trial
from training.gain import Gain

GAIN = Gain(size=3, compute=2, latency=1, throughput=1)


@pytest.mark.parametrize(
    "trial, text",
    [
        (Trial(design=Design(numbers="static"), score=0.9, drop=0.0, gain=GAIN), "2.00x by latency"),
        (
            Trial(design=Design(numbers="dynamic"), score=0.9, drop=0.0, gain=GAIN, made=Made(alone=True)),
            "2.00x by latency, each request alone: batch-mates may change answers",
        ),
        (Trial(design=Design(numbers="half"), failed="it crashed"), "couldn't be: it crashed"),
    ],
)
def test_a_trial_is_a_line(trial: Trial, text: str) -> None:
    """With what it came to, and what its answers depend on."""
    screen = StringIO()
    print_trial(trial, "accuracy", Budget(), Console(file=screen, width=200))
    assert screen.getvalue().rstrip().startswith(f"    {trial.name} ")
    assert screen.getvalue().rstrip().endswith(text)
