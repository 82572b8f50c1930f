"""Learning curves as a picture."""

from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from tests.training.reports import fitted
from training import curves
from training.fitted import Epoch, Fitted
from training.look import PAPER


def test_the_picture_is_the_same_whenever_it_is_drawn(tmp_path: Path) -> None:
    """It is part of what a step keeps by its digest; both lines are in it, in their colours."""
    for name in ("a.png", "b.png"):
        curves.save(tmp_path / name, "teacher", fitted(12, 1))
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    pixels = np.asarray(Image.open(BytesIO(content)).convert("RGB")).reshape(-1, 3)
    for colour in PAPER.series[:2]:
        wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
        assert (pixels == wanted).all(axis=1).sum() > 100


def test_every_metric_has_a_panel_of_its_own() -> None:
    """Shares are in percent, others as they are; each panel has the values of its metric."""
    scores = [
        {"loss": 2.0 - epoch, "reconstruction": 30.0 - epoch, "accuracy": 0.5 + 0.1 * epoch} for epoch in range(2)
    ]
    epochs = tuple(Epoch(number=number, train_loss=1.0, validation=one) for number, one in enumerate(scores))
    figure = Figure()
    curves.draw(figure, Fitted(epochs=epochs, best=1, train=scores[1]), PAPER)
    labels = ["loss", "reconstruction", "accuracy, %"]
    assert labels == [axes.get_ylabel() for axes in figure.axes]
    drawn = [list(np.asarray(axes.get_lines()[-2].get_ydata())) for axes in figure.axes]
    assert [[2.0, 1.0], [30.0, 29.0], [50.0, 60.0]] == drawn


def test_a_fit_of_losses_alone_has_one_panel(tmp_path: Path) -> None:
    """A loss below zero is in the picture too."""
    epochs = (Epoch(number=0, train_loss=-1.0, validation={"loss": -0.5}),)
    alone = Fitted(epochs=epochs, best=0, train={"loss": -1.0})
    figure = Figure()
    curves.draw(figure, alone, PAPER)
    assert 1 == len(figure.axes)
    assert figure.axes[0].get_ylim()[0] < -1.0
    curves.save(tmp_path / "one.png", "decoder", alone)
