"""What can go wrong while a recipe is run, beyond the errors that the service knows too.

HoneError                   (service.errors)
  TrainingError             a run can't go on
    Diverged                the loss is no number any more
    ServingError            the service that figures are taken from can't be had
      Unanswered            it refused a request
    Immeasurable            a figure can't be said of these predictions and targets
  ArtifactError             (service.errors)
    Damaged                 a file that a run keeps isn't what it wrote; it is made anew only if asked
"""

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import ArtifactError, HoneError, SettingsError


class TrainingError(HoneError):
    """A run can't go on."""

    reason = "training_failed"


class Diverged(TrainingError):
    """The loss is no number any more; the text says where, and which checkpoint is the last good one."""

    reason = "diverged"


class ServingError(TrainingError):
    """The service didn't start, didn't become ready, or lacks a model; the text says what it said last."""

    reason = "not_serving"


class Unanswered(ServingError):
    """The service refused a request to `model`; the text has its words."""

    reason = "unanswered"

    def __init__(self, model: str, said: str) -> None:
        super().__init__(f"{model}: the service answered {said}")
        self.model = model


class Immeasurable(TrainingError):
    """A figure can't be said of these predictions and targets; the text names what they lack, and what to do."""

    reason = "immeasurable"


class Damaged(ArtifactError):
    """A file that a run keeps (a checkpoint, a model) is missing or isn't what was written; the text names it."""

    reason = "damaged"


@contextmanager
def as_given() -> Iterator[None]:
    """A file that somebody gave and that can't be is as wrong as a flag: ArtifactError becomes SettingsError."""
    try:
        yield
    except Damaged:
        raise
    except ArtifactError as error:
        raise SettingsError(str(error)) from error


def one_line(error: BaseException) -> str:
    """What a library says of its error, without its line breaks and what comes after some of them."""
    return " ".join(str(error).split())[:500]
