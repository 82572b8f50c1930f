"""How one fit went, as a page shows it."""

import re
from dataclasses import dataclass

from markupsafe import Markup

from training import curves
from training.diagnosis import Diagnosis
from training.drawing import PAGE, blank, drawing, inline
from training.fitted import Fitted


@dataclass(frozen=True, kw_only=True)
class ShownFit:
    """A fit's plot, what that says, and the epoch whose weights were kept, counted from 1, with its `scores`."""

    step: str
    plot: Markup
    epochs: int
    best: int
    scores: str
    diagnosis: Diagnosis


def shown_fit(step: str, fitted: Fitted, diagnosis: Diagnosis) -> ShownFit:
    """The fit of `step`, of which `diagnosis` was made."""
    scores = fitted.epochs[fitted.best].validation
    others = ", ".join(_score(name, value) for name, value in scores.items() if name != "loss")
    loss = f"{scores['loss']:.3f}"
    return ShownFit(
        step=step,
        plot=learning_curve(step, fitted),
        epochs=len(fitted.epochs),
        best=fitted.best + 1,
        scores=f"{loss}, {others}" if others else loss,
        diagnosis=diagnosis,
    )


def learning_curve(step: str, fitted: Fitted) -> Markup:
    """One fit: losses above, what else validation measures below, and the epoch whose weights were kept."""
    name = f"fit-{re.sub('[^A-Za-z0-9-]', '_', step)}"
    with drawing(name):
        figure = blank(320, 270)
        curves.draw(figure, fitted, PAGE)
        return inline(figure, name)


def _score(name: str, value: float) -> str:
    return f"{name} {value * 100:.1f}\N{NO-BREAK SPACE}%" if name in curves.PERCENT else f"{name} {value:.4g}"
